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


# Jars that name each other, modules, an agent, an annotation processor, a service and a library in C, all served.
MORE = """
mkdir -p "$TREES"/plain/jars && cd "$TREES"/plain && mkdir -p s/dep s/main s/mod/m.lib/m/lib s/mod/m.app/m/app s/proc s/agent s/old s/new
printf 'package dep; public interface Dep { String name(); class One implements Dep { public String name() { return "one"; } } static int v() { return 8; } }\\n' > s/dep/Dep.java
javac -d c/dep s/dep/Dep.java && mkdir -p c/dep/META-INF/services && echo 'dep.Dep$One' > c/dep/META-INF/services/dep.Dep && echo data > c/dep/res.txt
sed 's/return 8/return 17/' s/dep/Dep.java > s/new/Dep.java && javac --release 17 -d c/new s/new/Dep.java && rm c/new/dep/Dep\\$One.class
jar --create --file jars/dep.jar -C c/dep . --release 17 -C c/new .
cat > s/main/Main.java <<'END'
package main;
import java.net.*; import java.nio.file.*; import java.util.*; import java.util.stream.*;
public class Main {
    static native int answer();
    public static void main(String[] a) throws Exception {
        for (dep.Dep d : ServiceLoader.load(dep.Dep.class)) System.out.println(d.name() + " " + dep.Dep.v() + " " + d.getClass().getProtectionDomain().getCodeSource().getLocation());
        for (URL u : Collections.list(Main.class.getClassLoader().getResources("res.txt"))) System.out.println(u + " " + new String(u.openStream().readAllBytes()).strip());
        Path jar = Path.of(a[0]).resolve("jars/dep.jar");
        try (var l = new URLClassLoader(new URL[] { jar.toUri().toURL() }, null)) { System.out.println(l.loadClass("dep.Dep").getMethod("v").invoke(null)); }
        try (var f = FileSystems.newFileSystem(jar); var w = Files.walk(f.getPath("/"))) { System.out.println(w.map(Path::toString).sorted().collect(Collectors.joining(","))); System.out.println(f.isReadOnly()); }
        try (var f = new java.util.jar.JarFile(jar.toFile())) { System.out.println(f.size() + " " + f.isMultiRelease()); }
        System.load(a[0] + "/libanswer.so"); System.out.println(answer());
        try (var c = java.nio.channels.FileChannel.open(jar)) { var m = c.map(java.nio.channels.FileChannel.MapMode.READ_ONLY, 0, c.size()); System.out.println(m.get(0) + " " + m.load().capacity()); }
        try (var r = new java.io.RandomAccessFile(jar.toFile(), "rw")) { System.out.println("written"); } catch (Exception e) { System.out.println(e.getMessage()); }
        System.out.println(java.nio.file.attribute.PosixFilePermissions.toString(Files.getPosixFilePermissions(jar)) + " " + Files.isWritable(jar) + " " + Files.getFileStore(jar).isReadOnly());
        System.out.println(new ProcessBuilder(System.getProperty("java.home") + "/bin/java", "-cp", a[0] + "/jars/*", "--version").redirectErrorStream(true).start().inputReader().readLine());
    }
}
END
javac -h . -cp jars/dep.jar -d c/main s/main/Main.java
printf 'Main-Class: main.Main\\nClass-Path: dep.jar\\nLaunch-Agent-Class: agent.Agent\\n' > m.txt
printf 'package agent; public class Agent { public static void premain(String a, java.lang.instrument.Instrumentation i) { System.out.println("agent " + a + " " + i.isRedefineClassesSupported()); } }\\n' > s/agent/Agent.java
javac -d c/agent s/agent/Agent.java && printf 'Premain-Class: agent.Agent\\n' > p.txt && jar cfm jars/agent.jar p.txt -C c/agent .
sed -i '/Launch-Agent/d' m.txt && jar cfm jars/main.jar m.txt -C c/main .
printf '#include <jni.h>\\nJNIEXPORT jint JNICALL Java_main_Main_answer(JNIEnv *e, jclass c) { return 42; }\\n' > answer.c
gcc -shared -fPIC -I"$JDK/include" -I"$JDK/include/linux" -o libanswer.so answer.c
printf 'module m.lib { exports m.lib; }\\n' > s/mod/m.lib/module-info.java; printf 'package m.lib; public class L { public static String l() { return "module " + L.class.getModule(); } }\\n' > s/mod/m.lib/m/lib/L.java
printf 'module m.app { requires m.lib; }\\n' > s/mod/m.app/module-info.java; printf 'package m.app; public class A { public static void main(String[] a) { System.out.println(m.lib.L.l()); } }\\n' > s/mod/m.app/m/app/A.java
javac -d mods --module-source-path s/mod -m m.lib,m.app
printf 'package proc; import javax.annotation.processing.*; import javax.lang.model.element.*; import java.util.*; @SupportedAnnotationTypes("*") public class P extends AbstractProcessor { public boolean process(Set<? extends TypeElement> s, RoundEnvironment r) { for (Element e : r.getRootElements()) processingEnv.getMessager().printMessage(javax.tools.Diagnostic.Kind.NOTE, "saw " + e); return false; } }\\n' > s/proc/P.java
javac -proc:none -d c/proc s/proc/P.java && mkdir -p c/proc/META-INF/services && echo proc.P > c/proc/META-INF/services/javax.annotation.processing.Processor && jar cf jars/proc.jar -C c/proc .
java -XX:ArchiveClassesAtExit=app.jsa -cp jars/dep.jar:jars/main.jar main.Main "$TREES/plain" > /dev/null 2>&1 || true
"""


@caller("java-jars", quick=False, packages=["openjdk-17-jdk-headless", "gcc", "libc6-dev"])
def java_jars(job):
    """The JDK and jars served: -jar with Class-Path, services, resources, multi-release jars, class loaders, zip file systems, JNI, agents, modules, annotation processors, jshell, javadoc, an own class data archive"""
    home = Path(job.build("ls -d /usr/lib/jvm/java-17-openjdk-* 2>/dev/null | sed -n 1,1p || true") or "/none")
    if not (home / "bin/javac").exists():
        raise Skip("no OpenJDK 17 of Debian")
    job.version(f"{home}/bin/java -version 2>&1 | sed -n '1s/.*\"\\(.*\\)\".*/\\1/p'")
    job.build(MORE, env={"PATH": f"{home}/bin:/usr/bin:/bin", "JDK": str(home)})
    app = job.trees / "app"
    job.serve(home)
    job.serve(app, job.trees / "plain")
    env = {"PATH": f"{home}/bin:/usr/bin:/bin", "APP": str(app)}
    job.step("an executable jar", 'java -jar "$APP/jars/main.jar" "$APP"; cd "$APP" && java -jar jars/main.jar "$APP" | tail -n 1', env=env)
    job.step("an agent", 'java -javaagent:"$APP/jars/agent.jar"=x -jar "$APP/jars/main.jar" "$APP" | sed -n 1,2p; java -javaagent:"$APP/jars/none.jar" -version', env=env, code=1, clean=[(r"0x[0-9a-f]+", "ADDRESS")])
    job.step("modules", 'java -p "$APP/mods" -m m.app/m.app.A; java -p "$APP/mods" --describe-module m.app | sort; java -p "$APP/mods" --list-modules | tail -n 2; javac -p "$APP/mods" -d o "$APP"/s/mod/m.app/*.java "$APP"/s/mod/m.app/m/app/*.java && ls -R o; jlink -p "$APP/mods" --add-modules m.app --output image --launcher a=m.app/m.app.A && image/bin/a', env=env)
    job.step("a processor", 'javac -cp "$APP/jars/*" -processorpath "$APP/jars/proc.jar" -d p "$APP/s/main/Main.java"; javac -sourcepath "$APP/s" -Xprefer:source -verbose -proc:none -cp "$APP/jars/dep.jar" -d q "$APP/s/main/Main.java" 2>&1 | grep -E "^.(parsing started|search path for)" | sed -n 1,10p', env=env)
    job.step("jshell and javadoc", 'printf "System.out.println(dep.Dep.v())\\n/exit\\n" | jshell -s --class-path "$APP/jars/dep.jar" -; javadoc -quiet -notimestamp -cp "$APP/jars/dep.jar" -d doc "$APP/s/main/Main.java" && find doc -name "*.html" | sort', env=env, clean=[(r"^(.*FileSystemPreferences.*|WARNING: .*(preferences|IOException).*)\n?", "")])
    job.step("an own archive", 'java -XX:SharedArchiveFile="$APP/app.jsa" -Xshare:auto -Xlog:cds -Xlog:class+path=warning -cp "$APP/jars/dep.jar:$APP/jars/main.jar" main.Main "$APP" | grep -v cds; java -XX:ArchiveClassesAtExit=own.jsa -jar "$APP/jars/main.jar" "$APP" > /dev/null 2>&1; java -XX:SharedArchiveFile=own.jsa -Xshare:on -jar "$APP/jars/main.jar" "$APP"; java -XX:SharedArchiveFile=own.jsa -Xlog:class+load -jar "$APP/jars/main.jar" "$APP" | grep -q "shared objects file (top)" && echo archived', env=env, code=None)
    job.step("jar and jdeps", 'jar --describe-module --file "$APP/jars/dep.jar"; jar --validate --file "$APP/jars/dep.jar"; jar uf "$APP/jars/dep.jar" -C "$APP" m.txt; jdeps --multi-release 17 -v -cp "$APP/jars/dep.jar" "$APP/jars/main.jar" | sort | sed -n 1,10p; jarsigner -verify "$APP/jars/dep.jar"', env=env, code=None)
