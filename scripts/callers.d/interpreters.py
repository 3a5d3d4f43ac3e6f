"""Perl, Ruby and bash, with the libraries that they look for in their own places served."""
import glob

from job import caller

SERVED_PERL = ("/usr/share/perl", "/usr/share/perl5", "/usr/lib/x86_64-linux-gnu/perl", "/usr/lib/x86_64-linux-gnu/perl-base")


@caller("perl", packages=["perl"])
def perl(job):
    """All of @INC served: modules in Perl and in C, POSIX, Encode, charnames, File::Find, prove, pod2text, -T"""
    job.version("perl -e 'printf \"%vd\", $^V'")
    for place in SERVED_PERL:
        job.serve(place)
    job.step("@INC", "perl -e 'print map { \"$_ \" . (-d $_ ? 1 : 0) . \"\\n\" } @INC'")
    job.step(
        "every module that loads",
        r"""for m in Carp Cwd Encode Fcntl File::Copy File::Find File::Glob File::Path File::Spec File::Temp Getopt::Long Hash::Util \
            IO::File IO::Socket IPC::Open3 JSON::PP List::Util MIME::Base64 Math::BigFloat Opcode POSIX PerlIO::encoding Pod::Text Safe \
            Scalar::Util SDBM_File Socket Storable Sys::Hostname Test::More Text::Wrap Tie::File Time::HiRes Time::Local Unicode::UCD \
            XSLoader attributes bigint charnames threads utf8; do
            perl -M$m -e 'print join(" ", $0, map { "$_=$INC{$_}" } sort keys %INC), "\n"' || exit 1; done""",
    )
    job.step("a module that is not there", "perl -MNot::There -e 1", code=2, proves=False)
    job.step(
        "File::Find over what is served",
        """perl -MFile::Find -e 'find({ no_chdir => 1, preprocess => sub { sort @_ }, wanted => sub { my @s = lstat; print "$_ @s[2,3,4,5,7,9]\\n" } }, @ARGV)' """
        + " ".join(SERVED_PERL),
    )
    job.step("POSIX and locale", "perl -MPOSIX=strftime,floor -e 'print strftime(\"%F\", gmtime 1e9), floor(2.5), \"\\n\"'")
    job.step("Encode", "perl -MEncode -e 'print length(encode(\"shiftjis\", \"\\x{3042}\")), join(\",\", Encode->encodings(\":all\")), \"\\n\"'")
    job.step("Unicode tables", "perl -Mcharnames=:full -e 'binmode STDOUT, \":utf8\"; print \"\\N{GREEK SMALL LETTER ALPHA}\", charnames::viacode(0x1F600), \"\\n\"'")
    job.step("-T and Storable", "perl -T -MStorable=freeze,thaw -e 'print thaw(freeze([1, 2]))->[1], \"\\n\"'")
    job.step(
        "prove",
        "mkdir -p t && printf 'use Test::More tests => 2; ok 1; is 1, 1;\\n' > t/a.t && prove -v t",
        clean=[(r"\d+ wallclock.*", "TIME")],
    )
    job.step("fork and exec of itself", "perl -e 'use Config; print qx($^X -MCarp -e \"print 42\"), $Config{version}, \"\\n\"'")
    job.step("pod", "pod2text /usr/share/perl/5.36/File/Temp.pm | sed -n 1,40p", env={"PERLDOC_PAGER": "cat"})


@caller("ruby", packages=["ruby"])
def ruby(job):
    """Its library, extensions and gems served: require of the standard library, Find, ERB, JSON, Ripper, gem list, gem which"""
    job.version("ruby -e 'print RUBY_VERSION'")
    for place in ["/usr/lib/ruby", "/usr/lib/x86_64-linux-gnu/ruby", "/var/lib/gems", "/usr/share/rubygems-integration"]:
        job.serve(place)
    libraries = "set json yaml erb find fileutils tempfile pathname digest openssl socket stringio zlib time optparse csv open3 securerandom etc date bigdecimal psych ripper"
    job.step("require", f"for l in {libraries}; do ruby -r $l -e 'puts ARGV[0], $LOADED_FEATURES.sort' $l || exit 1; done")
    job.step("a library that is not there", "ruby -r not/there -e 1", code=1)
    job.step("load path", "ruby -e 'puts $LOAD_PATH.map { |d| [d, File.directory?(d)].join(\" \") }'")
    job.step("Find", "ruby -r find -e 'Find.find(\"/usr/lib/ruby\") { |f| s = File.lstat f; puts [f, s.mode, s.size, s.mtime.to_i, s.ftype].join(\" \") }'")
    job.step("Dir and Pathname", "ruby -r pathname -e 'puts Dir.glob(\"/usr/lib/ruby/3.1.0/**/*.rb\").sort, Dir.children(\"/usr/lib/ruby\").sort, Pathname.new(\"/usr/lib/ruby/3.1.0/..\").realpath'")
    job.step("ERB, JSON, YAML", "ruby -r erb -r json -r yaml -e 'puts ERB.new(\"<%= 1 + 1 %>\").result, JSON.pretty_generate({a: [1]}), [1, {b: 2}].to_yaml'")
    job.step("gem list", "gem list --local && gem environment gempath && gem which set json")
    job.step("autoload and fork", "ruby -e 'puts Process.wait2(fork { require \"set\"; exit Set.new([1]).size })[1].exitstatus'")
    job.step("an error's backtrace", "ruby -r json -e 'JSON.parse(\"{\")'", code=1)
    job.step("require_relative and __dir__", "printf 'puts __FILE__\\n' > part.rb; printf 'require_relative %s\\nputs __dir__\\n' \"'part'\" > main.rb; ruby main.rb; ruby -c main.rb; ruby -r ripper -e 'puts Ripper.sexp(File.read(ARGV[0])).size' main.rb")


@caller("bash", packages=["bash", "bash-completion"])
def bash(job):
    """The shell itself, its scripts and bash-completion served: source, globs, cd, redirections, process substitution, completion"""
    job.version("bash -c 'echo ${BASH_VERSION%%(*}'")
    place = job.trees / "app"
    job.build(
        """mkdir -p "$TREES"/plain/{bin,lib,data/{a,b,c}}
        cp /bin/bash "$TREES"/plain/bin/bash
        for d in a b c; do seq 100 > "$TREES/plain/data/$d/numbers.txt"; done; ln -s a "$TREES/plain/data/link"
        printf 'greet() { echo "hello $1 from ${BASH_SOURCE[0]}:$LINENO"; }\\n' > "$TREES/plain/lib/greet.sh"
        printf '#!%s/app/bin/bash\\n. "$(dirname "$0")/../lib/greet.sh"; greet "$@"; echo "$0 $BASH $BASHPID" | cut -d" " -f1,2\\n' "$TREES" > "$TREES/plain/bin/tool"
        chmod +x "$TREES/plain/bin/tool" """
    )
    job.serve(place, job.trees / "plain")
    job.serve("/usr/share/bash-completion")
    app = {"APP": str(place), "PATH": f"{place}/bin:/usr/bin:/bin"}
    job.step("source", '. "$APP/lib/greet.sh" && greet you && type greet', env=app)
    job.step("a script with a served interpreter", "tool one; tool two | cat; env tool three; type tool; hash; command -v tool", env=app)
    job.step("globs", 'shopt -s globstar nullglob; cd "$APP" && echo ** data/*/n* data/[ab]/*.txt none*; compgen -f data/ | sort; compgen -d "$APP/" | sort', env=app)
    job.step("cd", 'cd "$APP/data/link" && pwd && pwd -P && cd .. && pwd && cd - && cd -P . && pwd; cd "$APP/none"; echo $?; pushd "$APP/lib"; dirs -l; popd', env=app)
    job.step("tests", 'cd "$APP"; for f in data/link lib/greet.sh bin/tool none data; do for o in e f d L r w x s; do [ -$o $f ]; echo -n "$? "; done; echo; done; [ data/a -ef data/link ]; echo $?', env=app)
    job.step("redirections", 'cd "$APP"; wc -l < data/a/numbers.txt; exec 7< data/b/numbers.txt; read -u 7 x; echo $x; cat <&7 | tail -1; echo no > data/new; echo $?; echo "$(< lib/greet.sh)"; mapfile -t m < data/c/numbers.txt; echo ${#m[@]}; diff <(sort data/a/numbers.txt) <(sort data/b/numbers.txt)', env=app)
    job.step("the shell itself", 'bash -c \'echo $BASH_VERSION $0; cd "$APP/data" && ls | while read f; do echo "$f"; done\'; "$APP/bin/bash" --norc -c "type bash"; (exec -a other bash -c \'echo $0\')', env=app)
    job.step("completion", ". /usr/share/bash-completion/bash_completion && _completion_loader git; complete -p git tar; COMP_WORDS=(ls \"$APP/da\"); COMP_CWORD=1; _filedir; echo ${COMPREPLY[@]}", env=app, code=None)
    job.step("every completion parses", "for f in /usr/share/bash-completion/completions/[a-f]*; do bash -n $f || echo bad $f; done; ls /usr/share/bash-completion/completions | wc -l", env=app)
