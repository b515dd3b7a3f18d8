//! Builds the emulated libraries with the C++ compiler of the system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::{env, fs, thread};

use declarations::{Function, functions, stub};

#[path = "build/declarations.rs"]
mod declarations;

/// One shared library: its file, the folders of its sources, and what the world sees of it.
struct Library {
    file: &'static str,
    folders: &'static [&'static str],
    exports: &'static str,
}

/// A vendor's libraries. The first holds the core; the others need it, and find it beside them.
struct Vendor {
    name: &'static str,
    include: &'static str,
    libraries: &'static [Library],
    variants: &'static [Variant],
}

/// How another version of the vendor's software has the same functions: in a folder of its own.
struct Variant {
    folder: &'static str,
    libraries: &'static [Library],
    /// Which functions it has not got, by what the headers say of them.
    hides: fn(&Function) -> bool,
}

const VENDORS: &[Vendor] = &[
    Vendor {
        name: "cuda",
        include: "ffi/cuda-sys/include",
        libraries: &[
            Library {
                file: "libeplb_emulated_cuda.so",
                folders: &["core", "cuda/state"],
                // The vendor's namespace, as compilers write it.
                exports: "eplb_emulator_*; *13emulated_cuda*;",
            },
            Library { file: "libcudart.so", folders: &["cuda/runtime"], exports: "cuda*;" },
            Library { file: "libcuda.so.1", folders: &["cuda/driver"], exports: "cu*;" },
            Library { file: "libnccl.so.2", folders: &["nccl"], exports: "nccl*;" },
            Library { file: "libcublas.so.13", folders: &["cublas"], exports: "cublas*;" },
        ],
        variants: &[],
    },
    Vendor {
        name: "ascend",
        include: "ffi/ascend-sys/include",
        libraries: &[
            Library {
                file: "libeplb_emulated_ascend.so",
                folders: &["core", "ascend/state"],
                exports: "eplb_emulator_*; *15emulated_ascend*;",
            },
            ACL,
            HCCL,
        ],
        variants: &[
            Variant { folder: "cann-9", libraries: CANN_9, hides: |_| false },
            Variant {
                folder: "acl-1.15",
                libraries: &[ACL, HCCL],
                hides: |function| function.since.as_deref() == Some("1.17"),
            },
            Variant {
                folder: "least",
                libraries: &[ACL, HCCL],
                hides: |function| function.since.is_some(),
            },
        ],
    },
];

const ACL: Library = Library { file: "libascendcl.so", folders: &["ascend/acl"], exports: "acl*;" };
const HCCL: Library =
    Library { file: "libhccl.so", folders: &["ascend/hccl", "ascend/hcomm"], exports: "Hccl*;" };
const CANN_9: &[Library] = &[
    Library { file: "libacl_rt.so", ..ACL },
    Library { folders: &["ascend/hccl"], ..HCCL },
    Library { file: "libhcomm.so", folders: &["ascend/hcomm"], ..HCCL },
];

/// Folders of libraries of Ascend that only pretend, and the code that their functions give: the vendor's
/// own stub for linking, and one that succeeds and does nothing.
const STUBS: &[(&str, i32)] = &[("stub", 100_039), ("silent", 0)];
const ASCEND_INCLUDE: &str = "ffi/ascend-sys/include";
const ASCEND_HEADERS: &[(&str, &str)] =
    &[("libascendcl.so", "eplb_acl.h"), ("libhccl.so", "eplb_hccl.h")];

fn main() {
    let own = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let root =
        own.ancestors().nth(2).expect("the package is two folders below the root").to_owned();
    let out = PathBuf::from(variable("OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    for vendor in VENDORS {
        println!("cargo::rerun-if-changed={}", root.join(vendor.include).display());
        build(vendor, &own, &root, &out.join(vendor.name));
    }
    build_stubs(&root.join(ASCEND_INCLUDE), &out.join("ascend"));
    println!("cargo::rustc-env=EPLB_EMULATED_LIBRARIES={}", out.display());
}

fn build(vendor: &Vendor, own: &Path, root: &Path, out: &Path) {
    fs::create_dir_all(out).expect("the build's folder can be written");
    let objects = compile(vendor, own, root, out);
    let mut core = None;
    for library in vendor.libraries {
        let file = link(library, &objects, out, core.as_deref(), &[]);
        core.get_or_insert(file);
    }
    for variant in vendor.variants {
        let folder = out.join(variant.folder);
        fs::create_dir_all(&folder).expect("the build's folder can be written");
        let include = root.join(vendor.include);
        let hidden: Vec<Function> = ASCEND_HEADERS
            .iter()
            .flat_map(|(_, header)| functions(&include, header))
            .filter(|function| (variant.hides)(function))
            .collect();
        for library in variant.libraries {
            link(library, &objects, &folder, core.as_deref(), &hidden);
        }
    }
}

/// Gives the objects by the folders of their sources.
fn compile<'a>(
    vendor: &'a Vendor,
    own: &Path,
    root: &Path,
    out: &Path,
) -> BTreeMap<&'a str, Vec<PathBuf>> {
    let mut objects: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
    let mut compilations = Vec::new();
    for folder in vendor.libraries.iter().flat_map(|library| library.folders) {
        println!("cargo::rerun-if-changed={}", own.join(folder).display());
        for source in sources(&own.join(folder)) {
            let name = format!("{}-{}.o", folder.replace('/', "-"), stem(&source));
            let object = out.join(name);
            objects.entry(folder).or_default().push(object.clone());
            if is_fresh(&object) {
                continue;
            }
            let mut command = compiler();
            command
                .args(["-std=c++17", "-MMD", "-c", "-o"])
                .arg(&object)
                .arg(&source)
                .arg(format!("-DEPLB_EMULATED_VENDOR={}", vendor.name))
                .arg("-I")
                .arg(own)
                .arg("-I")
                .arg(root.join(vendor.include));
            compilations.push(command);
        }
    }
    run_all(compilations);
    objects
}

/// Whether an object is newer than all files that it was made of, as the compiler has listed them, and
/// than this program.
fn is_fresh(object: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    let (Some(made), Some(program)) =
        (changed(object), env::current_exe().ok().and_then(|path| changed(&path)))
    else {
        return false;
    };
    let Ok(list) = fs::read_to_string(object.with_extension("d")) else {
        return false;
    };
    let inputs = list.split_whitespace().skip(1).filter(|word| *word != "\\");
    program < made
        && inputs.map(Path::new).all(|input| changed(input).is_some_and(|changed| changed < made))
}

fn link(
    library: &Library,
    objects: &BTreeMap<&str, Vec<PathBuf>>,
    out: &Path,
    core: Option<&Path>,
    hidden: &[Function],
) -> PathBuf {
    let file = out.join(library.file);
    // Templates of the standard library would be exported else, and could be another library's. Names
    // without a star go before those with one.
    let exports = out.join(format!("{}.exports", library.file));
    let hidden: String = hidden.iter().map(|function| format!("{}; ", function.name)).collect();
    let text = format!("{{ global: {} local: {hidden}*; }};\n", library.exports);
    fs::write(&exports, text).expect("the build's folder can be written");
    let mut command = compiler();
    command
        // Variants find the core one folder above.
        .args(["-shared", "-Wl,-z,defs", "-Wl,-rpath,$ORIGIN:$ORIGIN/.."])
        .arg(format!("-Wl,-soname,{}", library.file))
        .arg(format!("-Wl,--version-script={}", exports.display()))
        .arg("-o")
        .arg(&file)
        .args(library.folders.iter().flat_map(|folder| &objects[folder]))
        .args(core);
    run_all(vec![command]);
    file
}

fn build_stubs(include: &Path, out: &Path) {
    for (folder, code) in STUBS {
        let folder = out.join(folder);
        fs::create_dir_all(&folder).expect("the build's folder can be written");
        for (file, header) in ASCEND_HEADERS {
            let source = folder.join(header).with_extension("cpp");
            fs::write(&source, stub(&functions(include, header), *code))
                .expect("the build's folder can be written");
            let mut command = compiler();
            command.args(["-shared", "-o"]).arg(folder.join(file)).arg(&source);
            run_all(vec![command]);
        }
    }
}

fn compiler() -> Command {
    let mut build = cc::Build::new();
    // Some optimisation always: arithmetic of megabytes is done in it.
    build.cpp(true).cargo_warnings(false).opt_level(1).debug(true);
    let mut command = build.get_compiler().to_command();
    command.args(["-fPIC", "-pthread", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]);
    command
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cpp"))
        .collect();
    found.sort();
    found
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a source has a name").to_string_lossy().into_owned()
}

/// Runs commands, as many at a time as there are processors.
fn run_all(commands: Vec<Command>) {
    let most = thread::available_parallelism().map_or(1, usize::from);
    let mut running: Vec<(String, Child)> = Vec::new();
    for mut command in commands {
        if running.len() == most {
            finish(running.remove(0));
        }
        let arguments: Vec<_> = command.get_args().map(|text| text.to_string_lossy()).collect();
        let text = format!("{} {}", command.get_program().to_string_lossy(), arguments.join(" "));
        let child = command.spawn().unwrap_or_else(|error| panic!("{text}: {error}"));
        running.push((text, child));
    }
    running.into_iter().for_each(finish);
}

fn finish((text, mut child): (String, Child)) {
    let status = child.wait().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert!(status.success(), "{text} ended with {status}");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}
