# Says what this interpreter is, in six lines. Any Python understands it, so that one which is too old is told apart
# from one which is broken.
import sys

known = getattr(sys, "implementation", None)
name, tag, magic, program = "python", "", "", ""
if known is not None:
    name, tag, program = known.name, known.cache_tag or "", sys.executable or ""
    try:
        import _imp
        from _frozen_importlib_external import MAGIC_NUMBER

        _imp.source_hash
        magic = MAGIC_NUMBER.hex()
    except (ImportError, AttributeError):
        pass
lines = [name, "%d.%d.%d" % sys.version_info[:3], "%08x" % sys.hexversion, tag, magic, program, ""]
text = "\n".join(lines)
if known is not None:
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
else:
    sys.stdout.write(text)
