def inner():
    return {}["absent"]


inner()
