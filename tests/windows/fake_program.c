/* A fake, which stands for wsl.exe and netsh.exe where there is no Windows: built under both names. It replays the
 * bytes of the file beside it that is called like itself with .out instead of .exe, notes its command line in .log, and
 * ends with the code that is in .code (0 without one). It knows nothing of distributions or firewalls. */
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static FILE *open_beside(const char *suffix, const char *mode)
{
    char path[1024];
    DWORD len = GetModuleFileNameA(NULL, path, sizeof path);
    if (len < 4 || len + 2 >= sizeof path) {
        return NULL;
    }
    (void)snprintf(path + len - 4, sizeof path - len + 4, "%s", suffix);
    return fopen(path, mode);
}

int main(void)
{
    char bytes[4096];
    int code = 0;
    FILE *log = open_beside(".log", "ab");
    FILE *out = open_beside(".out", "rb");
    FILE *ends = open_beside(".code", "rb");
    (void)_setmode(_fileno(stdout), _O_BINARY);
    if (log != NULL) {
        (void)fprintf(log, "%s\n", GetCommandLineA());
        (void)fclose(log);
    }
    if (out != NULL) {
        size_t len = fread(bytes, 1, sizeof bytes, out);
        (void)fwrite(bytes, 1, len, stdout);
        (void)fclose(out);
    }
    if (ends != NULL) {
        if (fscanf(ends, "%d", &code) != 1) {
            code = 0;
        }
        (void)fclose(ends);
    }
    return code;
}
