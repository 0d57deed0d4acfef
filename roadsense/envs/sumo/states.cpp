// Reads the states of vehicles, or a leader, from libsumo in one call, without its Python wrapper around each function.
//
// libsumo's wheel has no headers, so the functions and types are declared here, and looked up by name when the module
// is imported: without them the import fails, and all is read through the wrapper.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dlfcn.h>

#include <cmath>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>

namespace libsumo {
struct TraCIException : std::runtime_error {  // a vehicle is not known
    using std::runtime_error::runtime_error;
};
}  // namespace libsumo

namespace {

struct Position {  // libsumo::TraCIPosition: three numbers in a class with virtual functions
    void* functions;
    double x_m, y_m, z_m;
};

// libsumo's wheel is made with the C++11 strings of GCC's library. With others this file is not compiled.
static_assert(sizeof(std::string) == 32 && sizeof(Position) == 32, "another layout than libsumo's");

using Name = const std::string&;
double (*get_speed)(Name);
double (*get_acceleration)(Name);
double (*get_angle)(Name);
Position (*get_position)(Name, bool);
std::pair<std::string, double> (*get_leader)(Name, double);

const double INVALID = -1073741824.0;

PyObject* make_tuple(std::initializer_list<double> values) {
    PyObject* made = PyTuple_New(values.size());
    Py_ssize_t place = 0;
    for (const double value : values) {
        PyObject* number = made == nullptr ? nullptr : PyFloat_FromDouble(value);
        if (number == nullptr) {
            Py_XDECREF(made);
            return nullptr;
        }
        PyTuple_SET_ITEM(made, place++, number);
    }
    return made;
}

// Returns what `read` makes of a vehicle's name.
template <typename Read>
PyObject* read_vehicle(PyObject* id, Read read) {
    Py_ssize_t length;
    const char* text = PyUnicode_AsUTF8AndSize(id, &length);
    if (text == nullptr) return nullptr;
    try {
        return read(std::string(text, length));
    } catch (const std::exception& error) {
        return PyErr_Format(PyExc_RuntimeError, "SUMO failed: %s", error.what());
    }
}

PyObject* read_state(Name name) {
    if (name.empty()) Py_RETURN_NONE;
    try {
        const Position at = get_position(name, false);
        if (at.x_m == INVALID) Py_RETURN_NONE;  // it has left the road, or waits for its insertion
        const double turned_rad = get_angle(name) * (M_PI / 180);  // SUMO's angle is a compass's
        return make_tuple({at.x_m, at.y_m, get_speed(name), get_acceleration(name), M_PI / 2 - turned_rad});
    } catch (const libsumo::TraCIException&) {
        Py_RETURN_NONE;
    }
}

PyObject* read_states(PyObject*, PyObject* ids) {
    PyObject* names = PySequence_Fast(ids, "Expected the ids of vehicles as a list or tuple.");
    if (names == nullptr) return nullptr;
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(names);
    PyObject* states = PyList_New(n);
    for (Py_ssize_t place = 0; states != nullptr && place < n; ++place) {
        PyObject* state = read_vehicle(PySequence_Fast_GET_ITEM(names, place), read_state);
        if (state == nullptr) {
            Py_CLEAR(states);
        } else {
            PyList_SET_ITEM(states, place, state);
        }
    }
    Py_DECREF(names);
    return states;
}

PyObject* read_leader(PyObject*, PyObject* const* arguments, Py_ssize_t n) {
    const double sight_m = n == 2 ? PyFloat_AsDouble(arguments[1]) : -1.0;
    if (PyErr_Occurred()) return nullptr;
    if (n != 2) return PyErr_Format(PyExc_TypeError, "Expected an id and a distance, got %zd arguments.", n);
    return read_vehicle(arguments[0], [sight_m](Name name) -> PyObject* {
        const auto [leader, distance_m] = get_leader(name, sight_m);
        if (leader.empty() || distance_m > sight_m) Py_RETURN_NONE;
        return make_tuple({distance_m, get_speed(leader), get_acceleration(leader)});
    });
}

template <typename Function>
bool find(void* library, const char* symbol, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, symbol));
    return function != nullptr;
}

// Finds the functions in the copy of libsumo that this process has imported.
bool find_all() {
    PyObject* wrapper = PyImport_ImportModule("libsumo._libsumo");
    PyObject* path = wrapper == nullptr ? nullptr : PyModule_GetFilenameObject(wrapper);
    const char* text = path == nullptr ? nullptr : PyUnicode_AsUTF8(path);
    void* library = text == nullptr ? nullptr : dlopen(text, RTLD_NOW | RTLD_NOLOAD);
    Py_XDECREF(path);
    Py_XDECREF(wrapper);
#define VEHICLE(function) "_ZN7libsumo7Vehicle" function "ERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"
    return library != nullptr && find(library, VEHICLE("8getSpeed"), get_speed) &&
           find(library, VEHICLE("15getAcceleration"), get_acceleration) &&
           find(library, VEHICLE("8getAngle"), get_angle) &&
           find(library, VEHICLE("11getPosition") "b", get_position) &&
           find(library, VEHICLE("9getLeader") "d", get_leader);
}

PyMethodDef functions[] = {
    {"read_states", read_states, METH_O,
     "Returns x, y, speed, acceleration and heading of each vehicle; None for one that is not on the road."},
    {"read_leader", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(read_leader)), METH_FASTCALL,
     "Returns distance, less the vehicle's minGap, speed and acceleration of the vehicle ahead within a distance."},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, "states", nullptr, -1, functions, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_states() {
    if (!find_all()) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ImportError, "This libsumo has other functions.");
        return nullptr;
    }
    return PyModule_Create(&definition);
}
