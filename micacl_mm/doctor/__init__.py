"""Checks of machine, installation and data before a training.

Nothing is imported here: the doctor also runs where the rest of the package
cannot be imported, see tools/doctor.py.
"""
