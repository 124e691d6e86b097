"""The sidecar, module by module, against a real Valkey and a PHP side of the tests' own."""
