"""Java: the whole JDK and a class path served, each at its own place."""
from pathlib import Path

from job import Skip, caller

SOURCES = """
mkdir -p "$TREES"/plain/{src/lib,src/app,classes,jars}; cd "$TREES"/plain
printf 'package lib; public class Greeting { public static String of(String n) throws Exception { try (var s = Greeting.class.getResourceAsStream("/words.txt")) { return new String(s.readAllBytes()).strip() + " " + n; } } }\\n' > src/lib/Greeting.java
cat > src/app/Main.java <<'END'
package app;
import java.nio.file.*;
import java.util.stream.*;
public class Main {
    public static void main(String[] args) throws Exception {
        System.out.println(lib.Greeting.of(args[0]));
        System.out.println(Main.class.getProtectionDomain().getCodeSource().getLocation());
        System.out.println(System.getProperty("java.home"));
        try (Stream<Path> all = Files.walk(Path.of(args[1]))) {
            for (Path path : (Iterable<Path>) all.sorted()::iterator)
                System.out.println(path + " " + Files.size(path) + " " + Files.getLastModifiedTime(path) + " " + Files.isDirectory(path) + " " + path.toRealPath());
        }
        try { Files.writeString(Path.of(args[1], "new"), "x"); } catch (Exception e) { System.out.println(e); }
        try { Files.delete(Path.of(args[1], "words.txt")); } catch (Exception e) { System.out.println(e); }
        System.out.println(Files.mismatch(Path.of(args[1], "words.txt"), Path.of(args[1], "words.txt")));
        System.out.println(new java.io.File(args[1], "none").exists() + " " + new java.io.File(args[1]).list().length);
        throw new IllegalStateException("thrown");
    }
}
END
echo Hello > words.txt
javac -d classes src/lib/Greeting.java && cp words.txt classes/ && jar --create --file jars/lib.jar -C classes . && rm -r classes
mkdir -p data/sub; cp words.txt data/; ln -s words.txt data/link; seq 10 > data/sub/numbers
"""


@caller("java", packages=["openjdk-17-jdk-headless"])
def java(job):
    """The whole JDK (executables, libjvm, modules, class data archive) and the class path served: javac, java, jar, javap, jdeps, jlink, class data sharing"""
    home = Path(job.build("ls -d /usr/lib/jvm/java-17-openjdk-* 2>/dev/null | sed -n 1,1p || true") or "/none")
    if not (home / "bin/javac").exists():
        raise Skip("no OpenJDK 17 of Debian")
    job.version(f"{home}/bin/java -version 2>&1 | sed -n '1s/.*\"\\(.*\\)\".*/\\1/p'")
    job.build(SOURCES, env={"PATH": f"{home}/bin:/usr/bin:/bin"})
    app = job.trees / "app"
    job.serve(home)
    job.serve(app, job.trees / "plain")
    env = {"PATH": f"{home}/bin:/usr/bin:/bin", "APP": str(app)}
    job.step("versions", "java -version; javac -version; java --list-modules; java -XshowSettings:properties -version 2>&1 | grep -E 'java.home|library.path|boot|version'", env=env)
    job.step("javac", 'javac -d out -cp "$APP/jars/lib.jar" "$APP/src/app/Main.java" && find out -type f | sort | xargs sha256sum', env=env)
    job.step("java", 'java -cp "out:$APP/jars/*" app.Main you "$APP/data"', env=env, code=1)
    job.step("java of a source file", 'java -cp "$APP/jars/lib.jar" "$APP/src/app/Main.java" me "$APP/data"', env=env, code=1)
    job.step("jar", 'jar tf "$APP/jars/lib.jar"; jar xf "$APP/jars/lib.jar" && find lib words.txt | sort; jar --create --file new.jar --date 2020-01-01T00:00:00Z -C "$APP" src && unzip -Z1 new.jar 2>/dev/null || jar tf new.jar', env=env)
    job.step("javap", 'javap -c -cp "$APP/jars/lib.jar" lib.Greeting; javap -sysinfo java.lang.Object | sed -n 1,3p', env=env)
    job.step("class data sharing", "java -Xshare:on -version; java -Xlog:class+path=info -Xshare:auto -version | grep -c path", env=env)
    job.step("errors", 'java -cp "$APP/none.jar" app.Main; java -jar "$APP/words.txt"; javac "$APP/src/app/Main.java" -d out2', env=env)
    job.step("jdeps and jlink", 'jdeps -cp "$APP/jars/lib.jar" "$APP/jars/lib.jar" && jlink --add-modules java.base --output image && image/bin/java -version && ls image image/lib', env=env)
