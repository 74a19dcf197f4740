"""The storage floor: the file, its transactions, and the verbs that every engine must know."""
