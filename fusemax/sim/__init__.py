"""Running a mapping tile by tile: an event kernel, the machine on top of it, and the program on top of that."""
