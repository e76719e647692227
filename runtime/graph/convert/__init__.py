"""A workflow as the canvas saves it becomes an API prompt."""
