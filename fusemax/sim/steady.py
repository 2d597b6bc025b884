class Steady:
    def __init__(self, machine, program): pass
