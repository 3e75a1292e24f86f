/* Preloaded into Wine by wine.sh. The first thread of a process that ends makes glibc look for its unwinder, and for
 * that moment it holds the dynamic loader's lock. Wine may end a thread a second time in the midst of that, when the
 * process ends too, as with the thread that brought a Ctrl-C: the lock is never given back, exit() waits for it, and
 * after half a second Wine's server kills the process, whose exit code is lost. With the unwinder found at the start no
 * lock is taken. */
#include <execinfo.h>

__attribute__((constructor)) static void find_unwinder(void)
{
    void *frame;

    (void)backtrace(&frame, 1);
}
