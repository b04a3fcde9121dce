"""``llext runtime``: the compiler's helper functions as an archive for a partial link (low level, for CMake).

A partial link (``ld -r`` of GNU or LLVM) takes from the archive what the extension refers to, function by function,
and nothing else. CMake needs one archive for each build tree and adds it to the link like any other library::

    llext runtime --target cortex-m4 --toolchain zig -o libllext-runtime.a
    <linker> -r -T llext-merge.ld <objects> libllext-runtime.a -o name.debug.elf
    llext finish name.debug.elf -o name.llext

``--archive FILE`` takes the helpers from that ``libgcc.a`` or ``libcompiler_rt.a`` instead of asking the toolchain.
With an object as argument the archive holds only what this object needs, for a look at it or for a second link.
"""
