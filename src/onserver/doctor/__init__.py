"""The doctor: looks whether a server is as it ought to be, tells what to do where it is not, and mends what it can.

Each module looks at one thing and yields findings; `examine` asks them all, in the order in which one needs the other.
Nothing is changed by a look. What `mend` does is safe at any time, with whatever runs: it never touches what belongs to
somebody alive, and it never removes a record, an entry of the storage, or a key that it does not know.
"""
