"""Kills of a training, and what is lost by them."""

from .kills import torture

__all__ = ['torture']
