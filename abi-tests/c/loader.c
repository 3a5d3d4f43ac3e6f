/* dlopen of served libraries: by path, relative, through links, with $ORIGIN, by the caller's RUNPATH. */
#include "probe.h"
#include <link.h>

/* A path that the loader tells; only its last name, unless limits are looked at. */
static const char *told(const char *path) {
    const char *slash = strrchr(path, '/');
    return limits || slash == NULL ? path : slash + 1;
}

static void load(const char *name, int flags, const char *symbol) {
    dlerror();
    void *library = dlopen(name, flags);
    label("dlopen", name);
    if (library == NULL) {
        const char *error = dlerror();
        printf("NULL: %s\n", error == NULL ? "no error" : limits ? error : strrchr(error, ':'));
        return;
    }
    const char *(*function)(void) = (const char *(*)(void))dlsym(library, symbol);
    printf("%s\n", function == NULL ? "no symbol" : function());
    struct link_map *map = NULL;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) == 0)
        printf("  link map %s\n", told(map->l_name));
    char origin[PATH_MAX + 1] = "";
    if (dlinfo(library, RTLD_DI_ORIGIN, origin) == 0)
        printf("  origin %s\n", limits ? origin : "known");
}

static int visit(struct dl_phdr_info *info, size_t size, void *data) {
    if (strstr(info->dlpi_name, "plugin") != NULL || strstr(info->dlpi_name, "dependency") != NULL)
        printf("  loaded %s\n", told(info->dlpi_name));
    return 0;
}

int main(int argc, char **argv) {
    begin(argc, argv);
    load(at("lib/libdependency.so"), RTLD_NOW, "dependency");
    load(at("lib/plugins/plugin.so"), RTLD_NOW | RTLD_GLOBAL, "plugin");
    load(at("lib/plugins/link.so"), RTLD_NOW, "plugin");
    load(at("lib/../lib/plugins/./plugin.so"), RTLD_LAZY | RTLD_NOLOAD, "plugin");
    load(at("lib/missing.so"), RTLD_NOW, "x");
    load(at("plain.txt"), RTLD_NOW, "x");
    load(at("lib"), RTLD_NOW, "x");
    load("libdependency.so", RTLD_NOW, "dependency");
    load("libnowhere.so", RTLD_NOW, "dependency");
    void *plugin = dlopen(at("lib/plugins/plugin.so"), RTLD_NOW);
    const char *(*by_name)(const char *) = plugin == NULL ? NULL : (const char *(*)(const char *))dlsym(plugin, "by_name");
    printf("by the plug-in: %s\n", by_name == NULL ? "no plug-in" : by_name("libsecond.so"));
    printf("by the plug-in: %s\n", by_name == NULL ? "no plug-in" : by_name("libnowhere.so"));
    CALL("chdir", "lib", chdir(at("lib")));
    load("./libdependency.so", RTLD_NOW, "dependency");
    /* Of equal content with plugin.so, so one library to the loader. */
    if (limits)
        load("plugins/other.so", RTLD_NOW, "plugin");
    load("../lib/libsecond.so", RTLD_NOW, "dependency");
    void *apart = dlmopen(LM_ID_NEWLM, at("lib/libsecond.so"), RTLD_NOW);
    printf("dlmopen: %s\n", apart == NULL ? dlerror() : "loaded");
    dl_iterate_phdr(visit, NULL);
    /* What a crash reporter or a profiler reads. */
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[PATH_MAX + 200];
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if ((strstr(line, "plugin.so") || strstr(line, "libdependency.so")) && strstr(line, "r-xp"))
            printf("  maps %s", told(strchr(line, '/')));
    return 0;
}
