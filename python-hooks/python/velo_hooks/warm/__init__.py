"""Preloaded interpreters: a parent that has imported what an application imports, and forks it out of itself.

`velo-ctl run --warm` is the client. It carries these sources and hands them to the interpreter that it starts as the
parent (`boot`), so that both sides are always of one version; nothing here is imported by an application.

    boot      the parent's first lines, and the top of every child
    server    the parent: accepts, forks, attends its children, ends when idle
    preload   imports in a scratch process first, then in the parent; what a fork would break is left out
    inputs    what the imports looked at (variables, files, working directory), and whether a caller has the same
    watch     what the imports did to their process, or read of it, that is another in each: also left out
    child     a fork becomes the process that the caller asked for
    program   runs the script, module or command as the interpreter itself would
    stdio     the three standard streams over descriptors that were replaced
    finish    the end of a child: finalization that does not touch what was preloaded
    process   the kernel's side: /proc, descriptors, prctl
    wire      requests and answers
    record    which modules an application imports

Invariants: the parent has one thread and never reads what a client sends; it never runs a line of an application;
a child checks the caller against its own credentials, namespaces and the recorded inputs, before anything is changed
that the caller could see, and refuses if in doubt: the application is then started as without a parent.
"""
