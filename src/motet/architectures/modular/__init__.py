"""A shared trunk with small modules of tasks in or around it."""
