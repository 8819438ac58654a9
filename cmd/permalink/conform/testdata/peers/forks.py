"""Loads a command once and runs it in a fork for each connection to the socket that it inherits: forks.py COMMAND."""
import os
import runpy
import socket
import sys

listener = socket.socket(fileno=3)
command = sys.argv[1]
runpy.run_path(command)  # imports what it needs, and sees an empty message
while True:
    connection, _ = listener.accept()
    if os.fork() == 0:
        os.dup2(connection.fileno(), 0)
        os.dup2(connection.fileno(), 1)
        runpy.run_path(command)
        sys.exit()
    connection.close()
    os.wait()
