"""The built-in model families, one file each. A folder of this name beside your work adds your own."""
