"""All callers, in the order of the table. Importing a module puts its callers on the list."""
import cpython  # noqa: F401
import interpreters  # noqa: F401
import compilers  # noqa: F401
import files  # noqa: F401
import repositories  # noqa: F401
import environments  # noqa: F401
import python_projects  # noqa: F401
import jvm  # noqa: F401
import tools  # noqa: F401
import sources  # noqa: F401
