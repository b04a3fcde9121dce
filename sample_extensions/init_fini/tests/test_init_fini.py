"""init_fini: constructors and destructors, before a test, in it and after it."""


def test_constructors_have_run_in_their_order(llext_extension):
    extension = llext_extension("init_fini.llext")
    assert extension.host.output == "first second last "
    assert extension.steps == 3


def test_the_call_comes_after_them(llext_extension):
    assert llext_extension("init_fini.llext").init_fini_run() == 4


def test_destructors_run_when_the_test_says_so(llext_extension):
    extension = llext_extension("init_fini.llext")
    extension.host.read_output()
    extension.teardown()
    assert extension.host.read_output() == "finish after 4 steps\n"


def test_constructors_run_when_the_test_says_so(llext_extension):
    extension = llext_extension("init_fini.llext", bringup=False)
    assert extension.host.calls == []
    extension.bringup()
    assert [call.format for call in extension.host.calls("printk")] == ["%s "] * 3
