"""The file under every fault: who copies the log, and what a broken file, disk or folder is answered with."""
