# SPDX-License-Identifier: Apache-2.0
"""Programs that are shell one-liners over coreutils, as people put them into makefiles and CI steps."""

from __future__ import annotations

from random import Random

from tests.oracle.changes import Aim, aims
from tests.oracle.operations import Part
from tests.oracle.script import do

SCRATCH = """d = os.environ['TMPDIR'] + '/pytest-of-me'; os.makedirs(d, exist_ok=True); print(open('in1').read())
open(d + '/log', 'a').write('x'); print(os.path.getsize(d + '/log') > 0)"""
"""Writes and reads in a place that is neither input nor output (`policy.scratch`), so that the twins' may differ."""

# Each line with what it reacts to: `path: change change; path: change`. A time of now is printed as 0. Two lines never
# depend on which of two files was written first unless a `sleep` stands between them (see TIMED).
LINES = (
    ("cat in1 in2 > out1", "in1: edit flip; out1: dangle read-only"),
    ("cp in1 out1", "in1: flip delete; out1: to-symlink hard-link"),
    ("cp -p in1 out1", "in1: flip touch"),
    ("cp -n in1 out1", "out1: edit create delete"),
    ("cp --no-clob in1 out1", "out1: edit create delete"),
    ("cp --attributes-only in1 out1", "in1: chmod; out1: edit create delete"),
    ("cp --pres in1 out1; t=$(stat -c %Y out1); echo $((t < 1600000000 ? t : 0))", "in1: flip touch"),
    ("cp --arch in1 out1; t=$(stat -c %Y out1); echo $((t < 1600000000 ? t : 0))", "in1: flip touch"),
    ("cp --upd in1 out1", "in1: touch edit; out1: touch create edit"),
    ("cp --back in1 out1", "in1: edit; out1: create edit"),
    ("cp --int in1 out1 < in2", "in2: edit; out1: create edit delete"),
    ("cp -r d d2", "d: clutter; d/in3: edit; d2: create to-directory"),
    ("cp -a d d2", "d: clutter; d/in3: edit touch"),
    ("cp --remove-destination in1 out1", "in1: edit; out1: to-symlink"),
    ("mv in1 out1", "in1: edit flip; out1: create to-directory"),
    ("mv -n in1 out1", "out1: create edit"),
    ("mv --no-c in1 out1", "out1: create edit"),
    ("mv --upd in1 out1", "in1: touch; out1: touch create"),
    ("mv d o/d", "d/in3: edit; o/d: create"),
    ("mv -f in1 in2", "in1: flip; in2: hard-link"),
    ("ln -s in1 link1", "link1: create"),
    ("ln -sf in2 ln", "ln: delete to-directory"),
    ("ln in1 link2 && cat link2", "in1: edit; link2: create"),
    ("rm -f out1 out2", "out1: create to-directory"),
    ("rm -rf d", "d/in3: edit; d: clutter"),
    ("rm in2 || echo none", "in2: delete read-only"),
    ("touch out1", "out1: edit create"),
    ("touch --dat=@1200000000 out1; t=$(stat -c %Y out1); echo $((t < 1600000000 ? t : 0))", "out1: edit create"),
    ("touch --ref=in1 in2; t=$(stat -c %Y in2); echo $((t < 1600000000 ? t : 0))", "in1: touch"),
    ("date -ur in1 +%Y; t=$(date --ref=in2 +%s); echo $((t < 1600000000 ? t : 0))", "in1: touch; in2: touch"),
    ("date -ud2001-01-01 --rfc-3339=ns; date --utc --dat='1 Jan 2001 12:30'", "in1: touch"),
    ("date --dat=yesterday +%s > .when; rm .when; echo told", "in1: touch"),
    ("touch -r in1 in2", "in1: touch"),
    ("cat in1 > out3 && touch -r out3 in2", "in1: flip"),
    ("mkdir -p p/q/r", "p: create to-directory"),
    ("mkdir o || echo had", "o: delete"),
    ("rmdir hollow || echo full", "hollow: clutter"),
    ("sed -i s/line/LINE/ in1", "in1: edit flip hard-link"),
    ("sed s/1/2/ in2 2>&1 | sort | uniq -c > out2", "in2: edit; out2: to-directory"),
    ("install -m 755 in1 out1", "in1: edit; out1: dangle edit"),
    ("install -D in2 p/q/out", "in2: flip; p: create"),
    ("install --comp in1 out1", "in1: edit; out1: create edit chmod"),
    ("install --preserve-t in1 out1; t=$(stat -c %Y out1); echo $((t < 1600000000 ? t : 0))", "in1: touch edit"),
    ("chmod u+x in1; ls -l in1 | cut -c1-10", "in1: chmod edit"),
    ("find . -type f | sort", ".: clutter; d: clutter; in1: delete"),
    ("find d -name 'in*' -exec cat {} +", "d: clutter; d/in3: edit delete"),
    ("ls d o", "d: clutter; o: delete"),
    ("ls -R | wc -l", "d/sub: clutter delete"),
    ("ls -F . d", "in1: chmod delete to-symlink; d: clutter"),
    ("ls -t in1 in2 d/in3; ls -S in1 in2", "in1: touch edit; in2: touch"),
    ("cp -r d d2; ls -1p d2", "d: clutter; d/in3: touch to-directory"),
    ("wc -c in1 d/in3", "in1: edit flip delete"),
    ("grep -r line . > out1", "in2: edit; d: clutter"),
    ("tar cf - d | tar tf -", "d: clutter; d/in3: edit"),
    ("tar --mtime=@0 --sort=name -C d -cf out.tar .", "d/in3: flip chmod; d: clutter"),
    ("tee out1 out2 < in1 | head -n1", "in1: edit; out2: read-only"),
    ("dd if=in1 of=out1 bs=3 count=2 status=none", "in1: edit; out1: create"),
    ("dd if=in1 of=out1 bs=3 count=2 status=none conv=notrunc", "in1: flip; out1: edit create delete"),
    ("cmp -s in1 in2 && echo same || echo other", "in1: edit; in2: delete"),
    ("readlink -f ln dl d/up", "ln: retarget; dl: retarget"),
    ("basename \"$PWD\"; pwd", "place"),
    ("echo $HOME; cd ~ && cat conf", "place; ~/conf: edit"),
    ("stat -c '%s %a %F' in1 d ln", "in1: edit chmod; d: delete"),
    ("[ -s out4 ] || echo gen > out4", "out4: create edit empty"),
    ("[ -e none ] && cat none || echo no", "none: create"),
    ("test in1 -nt in2 && echo newer", "in1: touch; in2: touch delete"),
    ("[ out1 -nt in1 ] || cat in1 > out1", "in1: touch edit; out1: delete"),
    ("cp -u in1 out1", "in1: touch edit; out1: touch create edit"),
    ("find . -newer in1 -type f | sort", "in1: touch; in2: touch"),
    ("echo line >> out1", "out1: edit delete"),
    ("cat in1 >> in1.log; cat in1.log", "in1: edit; in1.log: create edit"),
    ("(set -C; echo x > out1) || echo kept", "out1: create delete"),
    ("cd d && cat in3 ../in2", "d/in3: edit; d: delete"),
    ("truncate -s 5 in1", "in1: edit delete"),
    ("truncate -s +5 in2", "in2: edit"),
    ("split -l 100 in1 part.", "in1: edit; part.aa: create"),
    ("./tool; PATH=.:$PATH tool", "tool: chmod edit; in1: edit; MODE"),
    ("PATH=o:d:$PATH; command -v in3 tool cat", "d/in3: chmod; o/cat: create"),
    ("sh -c 'cat in2 | while read a b; do echo $b; done' | tail -n2", "in2: edit flip"),
    ("t=$(mktemp); cat in1 > $t; cat $t; rm $t", "in1: edit"),
    ("t=$(mktemp ./XXXXXX); cat in2 > $t; mv -fT $t out1 || rm $t", "in2: edit; out1: create to-symlink"),
    ("diff in1 in2 > out1 || echo differ", "in1: edit; out1: to-directory"),
    ("{ cat in1 > out1 & cat in2 > out2 & sort d/in3 > o/s; wait; } 2> /dev/null; cat out?", "in1: edit; in2: flip"),
    ("echo \"$MODE\" \"$TERM\"", "MODE; TERM"),
    ("cat", "stdin; stdin; stdin offset"),
    ("head -c 5 > out2; cat >&2", "stdin; stdin offset; out2: create"),
    ("xargs -n1 echo got < in2", "in2: edit flip"),
    ("ls *.txt in* 2>/dev/null", ".: clutter; in2: delete"),
    ("cat ./*1", "in1: edit; out1: create; d1: create"),
    ("umask; echo x > fresh", "umask; fresh: create chmod"),
    (f'echo "import os; {SCRATCH}" > pytest; python3 -B pytest', "in1: edit"),
)  # fmt: skip
TIMED = (" -nt ", "-newer", "cp -u", "--upd", "touch", "ls -t")
SEVERAL = (b"cp -r ", b"tee ", b"{ cat in1 > out1 &")
"""Write several files, in an order by chance or within one tick: not where times are compared."""


def parts(rng: Random) -> list[Part]:
    """Pick one to three lines; lines that compare times are kept a tick apart from all others."""
    chosen = [_part(line, reacts) for line, reacts in rng.sample(LINES, rng.choice((1, 1, 2, 3)))]
    if not is_timed(chosen):
        return chosen
    chosen = [part for part in chosen if not part.script[0].words[0].startswith(SEVERAL)]
    pause = Part((do("line", "sleep 0.02"),))
    return [one for part in chosen for one in (part, pause)]


def is_timed(chosen: list[Part]) -> bool:
    """Whether a line compares times."""
    lines = [line.words[0].decode() for part in chosen for line in part.script]
    return any(sign in line for line in lines for sign in TIMED)


def _part(line: str, reacts: str) -> Part:
    found: list[Aim] = []
    for one in reacts.split("; "):
        subject, colon, names = one.partition(": ")
        if colon:
            found += aims(subject.encode(), *(name.replace("-", " ") for name in names.split()))
        else:
            around = subject if subject in ("place", "stdin", "stdin offset", "umask") else "variable"
            found.append(Aim(subject.encode(), around))
    return Part((do("line", line),), tuple(found))
