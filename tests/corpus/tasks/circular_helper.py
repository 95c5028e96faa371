from circular_import import Mine

WIDTH = 8
