"""What people look at, read from the records in few trips, and said nowhere else: for the command and the admin page."""
