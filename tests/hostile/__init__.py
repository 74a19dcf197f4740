"""What others wrote: names, numbers, rows, schemas and whole files that nobody in his right mind makes."""
