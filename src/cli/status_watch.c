#include "cli/status_watch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "cli/cli.h"
#include "cli/common.h"
#include "cli/watch_fetch.h"
#include "cli/watch_view.h"
#include "platform/screen.h"

#define REDRAW_MS 500 /* for what counts up or down */

struct watch {
    uv_loop_t loop;
    uv_async_t fetched;
    uv_timer_t redraw;
    struct screen *screen;
    struct watch_fetch *fetch;
    json_t *now, *before;
    uint64_t now_at_unix_ms, before_at_unix_ms;
    char trouble[sizeof((struct err_info *)0)->message + 32];
    bool is_in_trouble;
    bool has_colours;
    size_t scroll, lines, room; /* the last two as last drawn */
};

/* --- the picture --- */

static void draw(struct watch *watch)
{
    struct screen_frame frame;
    unsigned width = 0;
    unsigned height = 0;
    if (watch->screen == NULL)
        return;
    screen_size(watch->screen, &width, &height);
    if (!screen_frame_init(&frame, width, height))
        return;
    struct watch_view view = {.now = {watch->now, watch->now_at_unix_ms},
                              .before = {watch->before, watch->before_at_unix_ms},
                              .trouble = watch->is_in_trouble ? watch->trouble : NULL,
                              .now_unix_ms = time_unix_ms()};
    watch->room = watch_view_room(&view, width, height);
    watch->lines = watch_view_lines(&view, width);
    size_t last = watch->lines > watch->room ? watch->lines - watch->room : 0;
    watch->scroll = watch->scroll < last ? watch->scroll : last;
    view.scroll = watch->scroll;
    watch_view_draw(&view, &frame);
    screen_draw(watch->screen, &frame, watch->has_colours);
    screen_frame_deinit(&frame);
}

static void on_redraw(uv_timer_t *timer)
{
    draw(timer->data);
}

static void on_fetched(uv_async_t *async)
{
    struct watch *watch = async->data;
    struct watch_fetched fetched;
    if (watch->fetch == NULL)
        return;
    watch_fetch_take(watch->fetch, &fetched);
    if (fetched.status != NULL) {
        json_decref(watch->before);
        watch->before = watch->now;
        watch->before_at_unix_ms = watch->now_at_unix_ms;
        watch->now = fetched.status;
        watch->now_at_unix_ms = fetched.at_unix_ms;
    }
    watch->is_in_trouble = fetched.is_in_trouble;
    if (fetched.is_in_trouble)
        (void)snprintf(watch->trouble, sizeof watch->trouble, "trying again: %s", fetched.trouble.message);
    draw(watch);
}

static void on_resize(void *arg)
{
    draw(arg);
}

/* Gives the terminal back before anything is waited for. */
static void leave(struct watch *watch)
{
    if (watch->screen == NULL)
        return;
    screen_close(watch->screen);
    watch->screen = NULL;
    uv_close((uv_handle_t *)&watch->redraw, NULL);
    watch_fetch_stop(watch->fetch);
    watch->fetch = NULL;
    uv_close((uv_handle_t *)&watch->fetched, NULL);
}

static void on_key(void *arg, enum screen_key key)
{
    struct watch *watch = arg;
    if (watch->screen == NULL)
        return;
    size_t page = watch->room > 1 ? watch->room - 1 : 1;
    switch (key) {
    case SCREEN_KEY_QUIT: leave(watch); return;
    case SCREEN_KEY_UP: watch->scroll -= watch->scroll > 0; break;
    case SCREEN_KEY_DOWN: watch->scroll++; break;
    case SCREEN_KEY_PAGE_UP: watch->scroll -= watch->scroll < page ? watch->scroll : page; break;
    case SCREEN_KEY_PAGE_DOWN: watch->scroll += page; break;
    case SCREEN_KEY_HOME: watch->scroll = 0; break;
    case SCREEN_KEY_END: watch->scroll = watch->lines; break;
    case SCREEN_KEY_NONE: return;
    }
    draw(watch);
}

static int on_screen(struct control_client *client, const struct control_request *request, json_t *first)
{
    const char *no_color = getenv("NO_COLOR"); /* https://no-color.org: set, and not empty */
    struct watch watch = {.now = json_incref(first),
                          .now_at_unix_ms = time_unix_ms(),
                          .has_colours = no_color == NULL || no_color[0] == '\0'};
    const struct screen_events events = {.on_key = on_key, .on_resize = on_resize, .arg = &watch};
    struct err_info why = {.code = OK};
    int code = CLI_FAILED;
    if (uv_loop_init(&watch.loop) != 0) {
        control_client_close(client);
        json_decref(watch.now);
        (void)cli_usage("cannot make an event loop");
        return CLI_FAILED;
    }
    (void)uv_timer_init(&watch.loop, &watch.redraw);
    watch.redraw.data = &watch;
    (void)uv_async_init(&watch.loop, &watch.fetched, on_fetched);
    watch.fetched.data = &watch;
    if (screen_open(&watch.loop, &events, &watch.screen, &why) != OK) {
        (void)cli_usage("%s", why.message);
        control_client_close(client);
        uv_close((uv_handle_t *)&watch.redraw, NULL);
        uv_close((uv_handle_t *)&watch.fetched, NULL);
    } else {
        watch.fetch = watch_fetch_start(client, request, &watch.fetched);
        (void)uv_timer_start(&watch.redraw, on_redraw, REDRAW_MS, REDRAW_MS);
        if (watch.fetch == NULL) {
            watch.is_in_trouble = true;
            (void)snprintf(watch.trouble, sizeof watch.trouble, "out of memory: what you see stays as it is");
        }
        draw(&watch);
        code = CLI_OK;
    }
    (void)uv_run(&watch.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&watch.loop);
    json_decref(watch.now);
    json_decref(watch.before);
    return code;
}

/* --- lines --- */

/* False when nobody reads them any more. */
static bool print_changes(const json_t *before, const json_t *now)
{
    char *text = watch_view_changes(before, now, time_unix_ms());
    if (text == NULL)
        return false;
    bool is_read = fputs(text, stdout) >= 0 && fflush(stdout) == 0;
    free(text);
    return is_read;
}

static int by_lines(struct control_client *client, const struct control_request *request, json_t *first)
{
    json_t *now = json_incref(first);
    bool is_in_trouble = false;
    bool goes_on = print_changes(NULL, now);
    while (goes_on) {
        struct err_info why = {.code = OK};
        json_t *next = NULL;
        uv_sleep(WATCH_FETCH_INTERVAL_MS);
        if (watch_fetch_once(&client, request, &next, &why) != OK) {
            if (!is_in_trouble)
                (void)cli_usage("trying again: %s", why.message);
            is_in_trouble = true;
            continue;
        }
        is_in_trouble = false;
        goes_on = print_changes(now, next);
        json_decref(now);
        now = next;
    }
    control_client_close(client);
    json_decref(now);
    return CLI_OK;
}

int status_watch(struct control_client *client, const struct control_request *request, json_t *first)
{
    return screen_is_there() ? on_screen(client, request, first) : by_lines(client, request, first);
}
