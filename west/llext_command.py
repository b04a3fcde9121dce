"""``west llext``: the command line of llext-tools in a west workspace.

``check``, ``run`` and ``show`` are those of ``llext zephyr``; every other word is a command of ``llext``.
"""

import argparse
import os
import sys

from west.commands import WestCommand  # type: ignore[import-untyped, unused-ignore]

DESCRIPTION = """\
Check or run the loadable extensions of a Zephyr build, with its own zephyr.elf and .config.

  west llext check [-d BUILD_DIR] [EXTENSION...]   what the board's loader would refuse
  west llext run [-d BUILD_DIR] EXTENSION --call 'f(1)'   call a function in the emulator
  west llext show [-d BUILD_DIR]   what the build says of its loader

Each has a --help of its own. Any other command of llext works as well, such as
`west llext explain undefined-symbol`."""
OF_A_BUILD = ("check", "run", "show")


class Llext(WestCommand):  # type: ignore[misc, unused-ignore]
    def __init__(self) -> None:
        super().__init__("llext", "check and run loadable extensions on the host", DESCRIPTION)

    def do_add_parser(self, parser_adder):  # type: ignore[no-untyped-def]
        parser = parser_adder.add_parser(
            self.name,
            help=self.help,
            description=self.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND ...", help="see above")
        return parser

    def do_run(self, args, _unknown):  # type: ignore[no-untyped-def]
        if not args.words:
            self.parser.print_usage(sys.stderr)
            sys.exit(2)
        try:
            from llext_tools.cli import main
        except ImportError:
            python = sys.executable
            self.die(f"llext-tools is not installed where west is; try: {python} -m pip install llext-tools")
        command, *rest = args.words
        if command in OF_A_BUILD:
            rest = ["zephyr", command, *self.build_folder(rest), *rest]
        else:
            rest = [command, *rest]
        sys.exit(main(rest))

    def build_folder(self, words):  # type: ignore[no-untyped-def]
        """The folder of ``west config build.dir-fmt``, where none is given and its name is the same for every build."""
        given = any(word.startswith(("-d", "--build-dir")) for word in words)
        here = os.path.isfile(os.path.join("zephyr", ".config"))  # then `west build` takes this folder, too
        folder = "" if given or here else self.config.get("build.dir-fmt", default="")
        return ["-d", folder] if folder and "{" not in folder else []
