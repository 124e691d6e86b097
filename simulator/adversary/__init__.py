"""The adversary: vendors that mean harm, beside one that only works, on the real stack.

Each round draws its attackers from its seed. They hold nothing but their own app secret. It then
looks at what became of the other vendor, of everything that was acknowledged, of the processes'
memory and of Redis's (``make adversary``).
"""
