//! t7: `status` and `diff` of snapshots that were taken of single files, or of several roots.

use std::fs;

use crate::harness::World;

#[test]
fn a_single_file_is_compared_with_what_it_is_now() {
    let world = World::with_repository();
    world.write("docs/note", "one\ntwo\n");
    world.write("docs/beside", "not asked for");
    world.ghost(["snapshot", "docs/note"]).ok();
    world
        .ghost(["status"])
        .ok()
        .says(&["nothing changed"])
        .hides(&["beside", "was not compared"]);

    world.write("docs/note", "one\nthree\n");
    world.ghost(["status"]).ok().says(&["M note", "1 modified"]);
    world.ghost(["diff"]).ok().says(&["M note"]).hides(&["beside"]);
    world.ghost(["diff", "-p"]).ok().says(&["-two", "+three"]);

    fs::remove_file(world.path("docs/note")).unwrap();
    let gone = world.ghost(["status"]).ok();
    gone.says(&["D note", "1 deleted"]);
    gone.says(&["docs/note is not there any more"]);

    // In its place is a folder now.
    world.write("docs/note/inside", "1");
    world.ghost(["status"]).ok().says(&["T note", "A note/inside"]);
}

#[test]
fn of_several_roots_each_is_compared() {
    let world = World::with_repository();
    world.write("folder/in", "1");
    world.write("file", "1");
    world.ghost(["snapshot", "folder", "file"]).ok();
    world.ghost(["status"]).ok().says(&["nothing changed"]);

    world.write("folder/in", "12");
    world.write("file", "12");
    world
        .ghost(["status"])
        .ok()
        .says(&["M folder/in", "M file", "2 modified"]);

    // The folder became a file, and the folder of the other root is gone with it.
    fs::remove_dir_all(world.path("folder")).unwrap();
    world.write("folder", "no folder");
    fs::remove_file(world.path("file")).unwrap();
    let status = world.ghost(["status"]).ok();
    status.says(&["T folder", "D folder/in", "D file"]);
}

#[test]
fn of_a_root_that_is_gone_everything_is_deleted() {
    let world = World::with_repository();
    world.write("tree/a", "1");
    world.write("tree/sub/b", "2");
    world.ghost(["snapshot", "tree"]).ok();
    fs::remove_dir_all(world.path("tree")).unwrap();
    let status = world.ghost(["status"]).ok();
    status.says(&["D a", "D sub/b", "3 deleted"]);
    status.says(&["tree is not there any more"]);
}
