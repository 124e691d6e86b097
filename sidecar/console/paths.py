"""Where the console is."""

#: Below it is all of the console; nginx has a location of this name.
ROOT = "/sidecar"
STATIC = f"{ROOT}/static/"
SIGN_IN = f"{ROOT}/sign-in"
