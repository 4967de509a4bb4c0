"""Rows of results, their statistics, and the board made of them."""
