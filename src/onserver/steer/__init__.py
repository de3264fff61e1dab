"""What can be done to a server by those who look after it: who may, how it is done, and what is written down of it."""
