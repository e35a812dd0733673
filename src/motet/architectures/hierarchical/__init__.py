"""Tasks that build on each other: features of several depths, answers that become inputs, turns of both."""
