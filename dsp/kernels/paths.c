/* Paths: the best tracks of beats through the strength of onsets, of a Viterbi search. */
#include "kernels.h"

#define MOST_WAYS 256 /* a way is told in a byte */

typedef struct {
    const float *strength, *home, *change;
    float *arrived, *leaving; /* rings of as many rows as the longest interval has frames */
    uint8_t *first, *came;
    Py_ssize_t frames, ways, shortest;
} Search;

/* Ways onward lie beside each other, so that lanes compare them; an earlier way to arrive wins
 * over an equal one. */
CLONES static void go_on(const float *arrived, Py_ssize_t ways, const float *change,
                         float *leaving, uint8_t *came)
{
    int32_t from[MOST_WAYS];
    for (Py_ssize_t n = 0; n < ways; n++)
        leaving[n] = arrived[0] - change[n], from[n] = 0;
    for (Py_ssize_t k = 1; k < ways; k++) {
        const float *price = change + k * ways, score = arrived[k];
        const int32_t way = (int32_t)k;
        for (Py_ssize_t n = 0; n < ways; n++) {
            const float onward = score - price[n];
            const int better = onward > leaving[n];
            leaving[n] = better ? onward : leaving[n];
            from[n] = better ? way : from[n];
        }
    }
    for (Py_ssize_t n = 0; n < ways; n++)
        came[n] = (uint8_t)from[n];
}

/* The row of a frame is that of the frame a longest interval ago, which is read before. */
static void run_search(const Search *search, Py_ssize_t frame)
{
    const Py_ssize_t ways = search->ways, rows = search->shortest + ways - 1;
    float leaving[MOST_WAYS];
    for (Py_ssize_t t = 0; t < search->frames; t++, frame++) {
        const Py_ssize_t here = frame % rows;
        float *arrived = search->arrived + here * ways;
        Py_ssize_t row = here < search->shortest ? here - search->shortest + rows
                                                 : here - search->shortest;
        for (Py_ssize_t n = 0; n < ways; n++, row = row ? row - 1 : rows - 1) {
            const float earned = search->strength[t] - search->home[n];
            arrived[n] = search->leaving[row * ways + n] + earned;
            if (frame < rows) {
                search->first[here * ways + n] = arrived[n] <= earned;
                arrived[n] = arrived[n] <= earned ? earned : arrived[n];
            }
        }
        go_on(arrived, ways, search->change, leaving, search->came + t * ways);
        memcpy(search->leaving + here * ways, leaving, (size_t)ways * sizeof(float));
    }
}

static PyObject *best_tracks(PyObject *module, PyObject *args)
{
    PyObject *onsets, *homes, *prices, *ends, *ways_on, *begins, *origins, *result = NULL;
    Py_ssize_t frame, priced, room[3], told;
    Buffers buffers = {.count = 0};
    Search search;
    (void)module;
    if (!PyArg_ParseTuple(args, "OnnOOOOOO", &onsets, &frame, &search.shortest, &homes, &prices,
                          &ends, &ways_on, &begins, &origins))
        return NULL;
    if (take_array(&buffers, onsets, "strength", 'f', 0, &search.strength, &search.frames) < 0 ||
        take_array(&buffers, homes, "home", 'f', 0, &search.home, &search.ways) < 0 ||
        take_array(&buffers, prices, "change", 'f', 0, &search.change, &priced) < 0 ||
        take_array(&buffers, ends, "arrived", 'f', 1, &search.arrived, &room[0]) < 0 ||
        take_array(&buffers, ways_on, "leaving", 'f', 1, &search.leaving, &room[1]) < 0 ||
        take_array(&buffers, begins, "first", 'B', 1, &search.first, &room[2]) < 0 ||
        take_array(&buffers, origins, "came", 'B', 1, &search.came, &told) < 0)
        goto done;
    const Py_ssize_t ways = search.ways;
    const int sound = search.shortest > 0 && search.shortest <= MOST_FRAMES;
    const Py_ssize_t places = sound ? (search.shortest + ways - 1) * ways : -1;
    if (ways < 1 || ways > MOST_WAYS || priced != ways * ways)
        refuse("home and change", "(ways,) and (ways, ways), 1 to 256 ways");
    else if (frame < 0 || frame > MOST_FRAMES)
        refuse("frame", "0 or more");
    else if (room[0] != places || room[1] != places || room[2] != places)
        refuse("arrived, leaving and first", "(shortest + ways - 1, ways)");
    else if (told != search.frames * ways)
        refuse("came", "(frames, ways)");
    else {
        BEGIN_KERNEL(told * ways)
        run_search(&search, frame);
        END_KERNEL
        result = Py_NewRef(Py_None);
    }
done:
    release(&buffers);
    return result;
}

PyMethodDef path_methods[] = {
    {"best_tracks", best_tracks, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};
