"""The `micacl` command and the start of stock tools."""
