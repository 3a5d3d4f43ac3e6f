from importlib.resources import files

NAME = files("deep").joinpath("data.txt").read_text().strip()
