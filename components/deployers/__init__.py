"""The roles that GitHub's workflows take."""
