"""Kills of a training, and what is lost by them."""

from .kills import Outcome, torture

__all__ = ['Outcome', 'torture']
