"""The secrets that settings made by the tests carry, for whoever has to sign something."""

KEY_ID = "test"
SIGNING_SECRET = "signing-secret-of-the-tests"
APP_SECRET = "app-secret-of-the-tests"
