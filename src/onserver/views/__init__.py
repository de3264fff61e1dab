"""What people look at, read from the records in few trips: for the command and the admin page, said nowhere else."""
