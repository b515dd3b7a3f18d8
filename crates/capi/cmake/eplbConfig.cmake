# find_package(eplb): the targets eplb::eplb, the shared library, and eplb::eplb_static, beside which this
# file was installed.
get_filename_component(_eplb_prefix "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
set(_eplb_folders lib lib64)
if(CMAKE_LIBRARY_ARCHITECTURE)
  list(APPEND _eplb_folders "lib/${CMAKE_LIBRARY_ARCHITECTURE}")
endif()

find_path(eplb_INCLUDE_DIR eplb.h PATHS "${_eplb_prefix}/include" NO_DEFAULT_PATH)
find_library(eplb_LIBRARY "${CMAKE_SHARED_LIBRARY_PREFIX}eplb${CMAKE_SHARED_LIBRARY_SUFFIX}"
  PATHS "${_eplb_prefix}" PATH_SUFFIXES ${_eplb_folders} NO_DEFAULT_PATH)
find_library(eplb_STATIC_LIBRARY "${CMAKE_STATIC_LIBRARY_PREFIX}eplb${CMAKE_STATIC_LIBRARY_SUFFIX}"
  PATHS "${_eplb_prefix}" PATH_SUFFIXES ${_eplb_folders} NO_DEFAULT_PATH)
mark_as_advanced(eplb_INCLUDE_DIR eplb_LIBRARY eplb_STATIC_LIBRARY)
unset(_eplb_folders)

if(NOT eplb_INCLUDE_DIR OR NOT (eplb_LIBRARY OR eplb_STATIC_LIBRARY))
  set(eplb_FOUND FALSE)
  set(eplb_NOT_FOUND_MESSAGE "eplb: no header or no library below ${_eplb_prefix}")
  unset(_eplb_prefix)
  return()
endif()
unset(_eplb_prefix)

include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)

if(eplb_LIBRARY AND NOT TARGET eplb::eplb)
  add_library(eplb::eplb SHARED IMPORTED)
  set_target_properties(eplb::eplb PROPERTIES
    IMPORTED_LOCATION "${eplb_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${eplb_INCLUDE_DIR}")
endif()
if(eplb_STATIC_LIBRARY AND NOT TARGET eplb::eplb_static)
  add_library(eplb::eplb_static STATIC IMPORTED)
  set_target_properties(eplb::eplb_static PROPERTIES
    IMPORTED_LOCATION "${eplb_STATIC_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${eplb_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
endif()
