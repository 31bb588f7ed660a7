"""The program `versitygw`: an S3 server over a folder, built into the project's own folder
`.versitygw`.

`make versitygw`. From Go's module proxy it takes about a minute and a half on two cores."""

from samples.offline.go_program import PROJECT, GoProgram

VERSION = "1.8.0"
VERSITYGW = GoProgram(
    title="S3 server",
    name="versitygw",
    version=VERSION,
    target="versitygw",
    folder=PROJECT / ".versitygw",
    package=f"github.com/versity/versitygw/cmd/versitygw@v{VERSION}",
    built="versitygw",
)

if __name__ == "__main__":
    VERSITYGW.main()
