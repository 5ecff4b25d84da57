"""How numbers and tables are written: the same in the terminal, the report and figures."""
