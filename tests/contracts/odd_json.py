"""JSON texts that some readers take and others do not."""

DEEP = "[" * 300 + "]" * 300

#: By name, and what is said of them.
ODD: dict[str, tuple[str, str]] = {
    "huge": ("123456789012345678901234567890", "an integer beyond 64 bits"),
    "very negative": ("-9223372036854775809", "an integer beyond 64 bits"),
    "infinite": ("1e999", "a number that is not finite"),
    "minus infinity": ("-Infinity", "a number that is not finite"),
    "no number": ("NaN", "a number that is not finite"),
    "deep": (DEEP, "nested more than 100 deep"),
    "deeper": ("[" * 190 + "]" * 190, "nested more than 100 deep"),
    "half a character": ('"a\\ud800"', "a text with half a character"),
    "half a key": ('{"\\udc00": 1}', "a text with half a character"),
    "a key that PHP has no object for": ('{"\\u0000a": 1}', "a key that begins with NUL"),
}
