int standin_application;
