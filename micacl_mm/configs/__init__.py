"""The configs of this project in MMEngine's pure-Python style.

For configs anywhere: ``with read_base(): from micacl_mm.configs... import *``.
Each equals its twin in the folder ``configs`` of the repository, down to the
environment variables that it reads.
"""
