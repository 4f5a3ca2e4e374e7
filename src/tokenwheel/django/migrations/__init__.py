"""The steps that bring the tables to the form that ``models`` describes."""
