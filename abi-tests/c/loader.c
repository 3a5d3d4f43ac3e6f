/* dlopen of served libraries: by path, relative, through links, with $ORIGIN, by the caller's RUNPATH;
 * and every name and path that the loader then tells. */
#include "probe.h"
#include <link.h>

/* Which of the handles so far it is: the same library is the same handle. */
static int number(void *handle) {
    static void *known[64];
    static int count;
    for (int at = 0; at < count; at++)
        if (known[at] == handle)
            return at;
    known[count] = handle;
    return count++;
}

static void show_search_path(void *library) {
#ifdef __GLIBC__
    Dl_serinfo size, *info;
    if (dlinfo(library, RTLD_DI_SERINFOSIZE, &size) != 0)
        return;
    info = malloc(size.dls_size);
    *info = size;
    if (dlinfo(library, RTLD_DI_SERINFO, info) == 0)
        for (unsigned at = 0; at < info->dls_cnt; at++)
            printf("  looks in %s\n", info->dls_serpath[at].dls_name);
    free(info);
    char origin[PATH_MAX + 1] = "";
    if (dlinfo(library, RTLD_DI_ORIGIN, origin) == 0)
        printf("  origin %s\n", origin);
#endif
}

/* Asks the loader and prints what it says, from the handle on. */
static void show(void *library, const char *symbol) {
    const char *(*function)(void) = (const char *(*)(void))dlsym(library, symbol);
    printf("handle %d: %s\n", number(library), function == NULL ? dlerror() : function());
    struct link_map *map = NULL;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) == 0)
        printf("  link map %s\n", map->l_name);
    show_search_path(library);
    Dl_info info;
    if (function == NULL || !dladdr((void *)function, &info))
        return;
    printf("  address in %s, symbol %s\n", info.dli_fname, info.dli_sname);
#ifdef __GLIBC__
    map = NULL;
    if (dladdr1((void *)function, &info, (void **)&map, RTLD_DL_LINKMAP))
        printf("  address in %s, %s\n", info.dli_fname, map->l_name);
#endif
}

static void load(const char *name, int flags, const char *symbol) {
    dlerror();
    void *library = dlopen(name, flags);
    label("dlopen", name);
    if (library == NULL) {
        const char *error = dlerror();
        printf("NULL: %s\n", error == NULL ? "no error" : error);
    } else
        show(library, symbol);
}

static int visit(struct dl_phdr_info *info, size_t size, void *data) {
    const char *slash = strrchr(info->dlpi_name, '/');
    if (slash != NULL && strncmp(slash, "/libvelo_fs", 11) != 0)
        printf("  %s %s\n", (const char *)data, info->dlpi_name);
    return 0;
}

static void lists(const char *when) {
    dl_iterate_phdr(visit, (void *)when);
    /* What a debugger walks along. */
    struct link_map *map = NULL;
    void *program = dlopen(NULL, RTLD_NOW);
    if (dlinfo(program, RTLD_DI_LINKMAP, &map) == 0)
        for (; map != NULL; map = map->l_next)
            if (strchr(map->l_name, '/') != NULL && strstr(map->l_name, "/libvelo_fs") == NULL)
                printf("  list %s\n", map->l_name);
}

/* What docs/LIMITS.md says of libraries. */
static void show_limits(void) {
#ifdef __GLIBC__
    void *library = dlopen(at("lib/libsecond.so"), RTLD_NOW);
    for (struct link_map *map = _r_debug.r_map; library != NULL && map != NULL; map = map->l_next)
        if (strstr(map->l_name, "libsecond") != NULL)
            printf("a debugger's list %s\n", map->l_name);
#endif
    load(at("lib/secret.so"), RTLD_NOW, "dependency");
    load(at("plain.txt/below"), RTLD_NOW, "dependency");
    CALL("chdir", "..", chdir(at("..")));
    load("tree/lib/libthird.so", RTLD_NOW, "dependency");
}

int main(int argc, char **argv) {
    begin(argc, argv);
    if (limits) {
        show_limits();
        return 0;
    }
    load(at("lib/libdependency.so"), RTLD_NOW, "dependency");
    load(at("lib/libdependency.so"), RTLD_NOW, "dependency");
    load(at("lib/plugins/link.so"), RTLD_NOW, "plugin");
    load(at("lib/plugins/plugin.so"), RTLD_NOW | RTLD_GLOBAL, "plugin");
    load(at("lib/../lib/plugins/./plugin.so"), RTLD_LAZY | RTLD_NOLOAD, "plugin");
    load(at("lib//plugins/../libsecond.so"), RTLD_LAZY | RTLD_NOLOAD, "dependency");
    load(at("lib//plugins/../libsecond.so"), RTLD_LAZY, "dependency");
    /* Another file with the bytes of the plug-in, and one more name of it. */
    load(at("lib/plugins/other.so"), RTLD_NOW, "plugin");
    load(at("lib/plugins/hard.so"), RTLD_NOW, "plugin");
    /* By way of a link to its directory: another origin. */
    load(at("lib/by-link/far.so"), RTLD_NOW, "plugin");
    load(at("lib/missing.so"), RTLD_NOW, "x");
    load(at("plain.txt"), RTLD_NOW, "x");
    load(at("lib"), RTLD_NOW, "x");
    load(at("lib/needs-missing.so"), RTLD_NOW, "x");
    load(at("lib/needs-symbol.so"), RTLD_NOW, "x");
    load("libdependency.so", RTLD_NOW, "dependency");
    load("libnowhere.so", RTLD_NOW, "dependency");
    load("$ORIGIN/nowhere.so", RTLD_NOW, "dependency");
    void *plugin = dlopen(at("lib/plugins/plugin.so"), RTLD_NOW);
    const char *(*by_name)(const char *) = plugin == NULL ? NULL : (const char *(*)(const char *))dlsym(plugin, "by_name");
    static const char *const names[] = {"libthird.so", "libnowhere.so", "$ORIGIN/../libdependency.so"};
    for (int at = 0; at < COUNT(names); at++)
        printf("by the plug-in, %s: %s\n", names[at], by_name == NULL ? "no plug-in" : by_name(names[at]));
    lists("first");
    CALL("chdir", "lib", chdir(at("lib")));
    load("./libdependency.so", RTLD_NOW, "dependency");
    load("plugins/relative.so", RTLD_NOW, "plugin");
    load("../lib/libfourth.so", RTLD_NOW, "dependency");
    load("./missing.so", RTLD_NOW, "dependency");
    CALL("chdir", "/", chdir("/"));
#ifdef __GLIBC__
    void *apart = dlmopen(LM_ID_NEWLM, at("lib/libsecond.so"), RTLD_NOW);
    if (apart == NULL)
        printf("dlmopen: %s\n", dlerror());
    else
        show(apart, "dependency");
#endif
    lists("before");
    void *again = dlopen(at("lib/libfourth.so"), RTLD_NOW);
    CALL("dlclose", "libfourth.so", dlclose(again) || dlclose(again));
    lists("after");
    return 0;
}
