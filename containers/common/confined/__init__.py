"""Work on a user's bytes, in a child process that can reach nothing but those bytes.

`lock` takes away a process's rights, `messages` is what both sides send, `child` runs in the child,
`parent` starts it, answers its reads and judges how it ends (docs/decisions/0040).
"""
