; The installer of holdfast for Windows, made by packaging/windows/build.sh:
;   makensis -DVERSION=... -DFILES=folder of the zip -DOUT=setup.exe -DBITS=64 or 32 holdfast.nsi
; That of 32 bits is for 32-bit Windows; on a 64-bit one it installs among the 32-bit programs.
;
; setup.exe [/S] [/PATH] [/D=folder]     install, or install over what is there (repair, update)
;   /S silent, /PATH adds the folder to the machine's PATH; /D comes last and takes no quotes
; uninstall.exe [/S] [/PURGE]            remove; /PURGE removes %ProgramData%\holdfast too: definitions, keys, logs
; Exit codes: 0 done, 1 cancelled, 2 failed.
Unicode true
!if ${BITS} = 64
Target amd64-unicode
!else
Target x86-unicode
!endif
SetCompressor /SOLID lzma
Name "holdfast ${VERSION}"
OutFile "${OUT}"
RequestExecutionLevel admin
ManifestSupportedOS all
ManifestDPIAware true
InstallDir "$PROGRAMFILES${BITS}\holdfast"
InstallDirRegKey HKLM "Software\holdfast" "InstallDir"
ShowInstDetails show
ShowUninstDetails show

!include LogicLib.nsh
!include FileFunc.nsh
!include WinMessages.nsh
!insertmacro GetParameters
!insertmacro GetOptions
!insertmacro un.GetParameters
!insertmacro un.GetOptions

VIProductVersion "${VERSION4}"
VIAddVersionKey ProductName "holdfast"
VIAddVersionKey ProductVersion "${VERSION}"
VIAddVersionKey FileVersion "${VERSION}"
VIAddVersionKey FileDescription "Installer of holdfast"
VIAddVersionKey LegalCopyright "MIT licence"

!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\holdfast"
!define ENVIRONMENT_KEY "SYSTEM\CurrentControlSet\Control\Session Manager\Environment"

Page components
Page directory
Page instfiles
UninstPage uninstConfirm
UninstPage instfiles

Var DataDir
Var Folder
Var Restart

; What the service "holdfast" does now, in $0: the word that `sc query` would print as a number, or 0 when there is none.
; Asked of the service manager itself, since the program that is there may be an old one.
!macro define_service_state un
Function ${un}ServiceState
    Push $1
    Push $2
    StrCpy $0 0
    System::Call 'advapi32::OpenSCManagerW(p 0, p 0, i 1) p .r1'
    ${If} $1 P<> 0
        System::Call 'advapi32::OpenServiceW(p r1, w "holdfast", i 4) p .r2'
        ${If} $2 P<> 0
            System::Call '*(i 0, i 0, i 0, i 0, i 0, i 0, i 0) p .R9'
            System::Call 'advapi32::QueryServiceStatus(p r2, p R9) i .r0'
            ${If} $0 <> 0
                System::Call '*$R9(i, i .r0)'
            ${EndIf}
            System::Free $R9
            System::Call 'advapi32::CloseServiceHandle(p r2)'
        ${EndIf}
        System::Call 'advapi32::CloseServiceHandle(p r1)'
    ${EndIf}
    Pop $2
    Pop $1
FunctionEnd
!macroend
!insertmacro define_service_state ""
!insertmacro define_service_state "un."

; The PATH of the machine: $Folder is put at its end, or taken out. Read and written through the system's own calls,
; since a string of NSIS is cut off at 1024 characters, and with the type that the value has. An entry is compared as a
; whole, in any case.
!macro define_path un
; $0 <- address of the text (to be freed), $1 <- its type, $2 <- how many characters there is room for; $0 is 0 on error.
Function ${un}ReadPath
    StrCpy $0 0
    StrCpy $1 2
    System::Call 'advapi32::RegOpenKeyExW(p 0x80000002, w "${ENVIRONMENT_KEY}", i 0, i 0x20119, *p .R1) i .R0'
    ${If} $R0 <> 0
        Return
    ${EndIf}
    StrCpy $R2 0
    System::Call 'advapi32::RegQueryValueExW(p R1, w "Path", p 0, *i .r1, p 0, *i 0 R2) i .R0'
    ${If} $R0 = 2 ; there is no such value
        StrCpy $1 2
        StrCpy $R2 0
        StrCpy $R0 0
    ${EndIf}
    ${If} $R0 = 0
        IntOp $2 $R2 / 2
        IntOp $2 $2 + ${NSIS_MAX_STRLEN}
        IntOp $R3 $2 * 2
        System::Alloc $R3 ; zeroed
        Pop $0
        ${If} $R2 <> 0
            StrCpy $R4 $R3
            System::Call 'advapi32::RegQueryValueExW(p R1, w "Path", p 0, *i .r1, p r0, *i R4) i .R0'
            ${If} $R0 <> 0
                System::Free $0
                StrCpy $0 0
            ${EndIf}
        ${EndIf}
    ${EndIf}
    System::Call 'advapi32::RegCloseKey(p R1)'
FunctionEnd

; Writes the text at $0, of type $1, and tells running programs. $R0 <- 0 when done.
Function ${un}WritePath
    System::Call 'advapi32::RegOpenKeyExW(p 0x80000002, w "${ENVIRONMENT_KEY}", i 0, i 0x20106, *p .R1) i .R0'
    ${If} $R0 = 0
        System::Call 'kernel32::lstrlenW(p r0) i .R2'
        IntOp $R2 $R2 + 1
        IntOp $R2 $R2 * 2
        System::Call 'advapi32::RegSetValueExW(p R1, w "Path", i 0, i r1, p r0, i R2) i .R0'
        System::Call 'advapi32::RegCloseKey(p R1)'
        SendMessage ${HWND_BROADCAST} ${WM_SETTINGCHANGE} 0 "STR:Environment" /TIMEOUT=2000
    ${EndIf}
FunctionEnd

; $R5 <- address of the entry of the text at $0 that is $Folder, or 0; $R6 <- address of what follows it.
Function ${un}FindInPath
    StrLen $R7 $Folder
    StrCpy $R5 $0
    ${Do}
        System::Call 'shlwapi::StrChrW(p R5, i 59) p .R6' ; the next semicolon
        ${If} $R6 P= 0
            System::Call 'kernel32::lstrlenW(p R5) i .R8'
            IntPtrOp $R6 $R8 * 2
            IntPtrOp $R6 $R5 + $R6
        ${EndIf}
        IntPtrOp $R8 $R6 - $R5
        IntOp $R8 $R8 / 2
        ${If} $R8 = $R7
            System::Call 'shlwapi::StrCmpNIW(p R5, w "$Folder", i R7) i .R9'
            ${If} $R9 = 0
                Return
            ${EndIf}
        ${EndIf}
        System::Call '*$R6(&i2 .R9)'
        ${If} $R9 = 0
            StrCpy $R5 0
            Return
        ${EndIf}
        IntPtrOp $R5 $R6 + 2
    ${Loop}
FunctionEnd
!macroend
!insertmacro define_path ""
!insertmacro define_path "un."

Function AddToPath
    Call ReadPath
    ${If} $0 P= 0
        DetailPrint "The PATH of this machine cannot be read, and stays as it is."
        Return
    ${EndIf}
    Call FindInPath
    ${If} $R5 P= 0
        System::Call 'kernel32::lstrlenW(p r0) i .R8'
        ${If} $R8 <> 0
            System::Call 'kernel32::lstrcatW(p r0, w ";") p'
        ${EndIf}
        System::Call 'kernel32::lstrcatW(p r0, w "$Folder") p'
        Call WritePath
        ${If} $R0 <> 0
            DetailPrint "The PATH of this machine cannot be written (error $R0)."
        ${Else}
            WriteRegDWORD HKLM "Software\holdfast" "InPath" 1
        ${EndIf}
    ${Else}
        DetailPrint "$Folder is in the PATH already."
    ${EndIf}
    System::Free $0
FunctionEnd

Function un.RemoveFromPath
    Call un.ReadPath
    ${If} $0 P= 0
        Return
    ${EndIf}
    Call un.FindInPath
    ${If} $R5 P<> 0
        System::Call '*$R6(&i2 .R9)'
        ${If} $R9 <> 0
            IntPtrOp $R6 $R6 + 2 ; with the semicolon behind it
        ${ElseIf} $R5 P<> $0
            IntPtrOp $R5 $R5 - 2 ; or, for the last one, before it
        ${EndIf}
        System::Call 'kernel32::lstrlenW(p R6) i .R8'
        IntOp $R8 $R8 + 1
        IntOp $R8 $R8 * 2
        System::Call 'ntdll::memmove(p R5, p R6, p R8) p ? c'
        Call un.WritePath
    ${EndIf}
    System::Free $0
FunctionEnd

!define SERVICE_SID "S-1-5-80-1330843935-4026354752-656021322-1287684443-3323034567"

!macro grant place rights
    nsExec::ExecToLog '"$SYSDIR\icacls.exe" "${place}" ${rights}'
    Pop $0
    ${If} $0 != 0
        DetailPrint "The access rights of ${place} stay as they were (icacls: $0)."
    ${EndIf}
!macroend

!macro all_users
    SetRegView ${BITS}
    SetShellVarContext all
    StrCpy $DataDir "$APPDATA\holdfast" ; %ProgramData%, in the context of all users
!macroend

Section "holdfast (the program)" SecProgram
    SectionIn RO
    Call ServiceState
    StrCpy $Restart 0
    ${If} $0 <> 0
    ${AndIf} $0 <> 1 ; SERVICE_STOPPED
        StrCpy $Restart 1
        DetailPrint "Stopping the service"
        nsExec::ExecToLog '"$INSTDIR\holdfast.exe" service stop'
        Pop $0
        Call ServiceState
        ${If} $0 <> 0
        ${AndIf} $0 <> 1
            SetErrorLevel 2
            Abort "The service holdfast does not stop. Stop it in services.msc and run this again; nothing was changed."
        ${EndIf}
    ${EndIf}

    SetOutPath "$INSTDIR"
    SetOverwrite try
    ClearErrors
    File "${FILES}/holdfast.exe"
    ${If} ${Errors}
        ${If} $Restart = 1
            nsExec::ExecToLog '"$INSTDIR\holdfast.exe" service start'
            Pop $0
        ${EndIf}
        SetErrorLevel 2
        Abort "$INSTDIR\holdfast.exe cannot be written: is it running? End it and run this again."
    ${EndIf}
    SetOverwrite on
    File "${FILES}/*.txt"
    File /r "${FILES}/licences"
    File /r "${FILES}/tunnels"

    ; Keys are kept here: SYSTEM, administrators and the account of the service (NT SERVICE\holdfast, whose SID follows
    ; from its name and holds before there is a service) read it, and no user does. The service writes logs and state.
    CreateDirectory "$DataDir"
    CreateDirectory "$DataDir\logs"
    CreateDirectory "$DataDir\state"
    !insertmacro grant "$DataDir" "/inheritance:r /grant:r *S-1-5-18:(OI)(CI)F /grant:r *S-1-5-32-544:(OI)(CI)F /grant:r *${SERVICE_SID}:(OI)(CI)RX"
    !insertmacro grant "$DataDir\logs" "/grant:r *${SERVICE_SID}:(OI)(CI)M"
    !insertmacro grant "$DataDir\state" "/grant:r *${SERVICE_SID}:(OI)(CI)M"

    WriteUninstaller "$INSTDIR\uninstall.exe"
    WriteRegStr HKLM "Software\holdfast" "InstallDir" "$INSTDIR"
    WriteRegStr HKLM "${UNINSTALL_KEY}" "DisplayName" "holdfast"
    WriteRegStr HKLM "${UNINSTALL_KEY}" "DisplayVersion" "${VERSION}"
    WriteRegStr HKLM "${UNINSTALL_KEY}" "Publisher" "The holdfast authors"
    WriteRegStr HKLM "${UNINSTALL_KEY}" "DisplayIcon" "$INSTDIR\holdfast.exe"
    WriteRegStr HKLM "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
    WriteRegStr HKLM "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
    WriteRegStr HKLM "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
    WriteRegDWORD HKLM "${UNINSTALL_KEY}" "NoModify" 1
    ${GetSize} "$INSTDIR" "/S=0K" $0 $1 $2
    WriteRegDWORD HKLM "${UNINSTALL_KEY}" "EstimatedSize" $0

    ${If} $Restart = 1
        DetailPrint "Starting the service again"
        nsExec::ExecToLog '"$INSTDIR\holdfast.exe" service start'
        Pop $0
        ${If} $0 != 0
            SetErrorLevel 2
            DetailPrint "The service did not start again ($0): see holdfast service status."
        ${EndIf}
    ${EndIf}
SectionEnd

Section /o "Add holdfast to the PATH" SecPath
    StrCpy $Folder "$INSTDIR"
    Call AddToPath
SectionEnd

Function .onInit
    !insertmacro all_users
    ${GetParameters} $R0
    ClearErrors
    ${GetOptions} $R0 "/PATH" $R1
    ${IfNot} ${Errors}
        SectionSetFlags ${SecPath} 1
    ${EndIf}
FunctionEnd

Function un.onInit
    !insertmacro all_users
FunctionEnd

Section "Uninstall"
    Call un.ServiceState
    ${If} $0 <> 0
        DetailPrint "Stopping and removing the service"
        nsExec::ExecToLog '"$INSTDIR\holdfast.exe" service stop'
        Pop $0
        nsExec::ExecToLog '"$INSTDIR\holdfast.exe" service uninstall'
        Pop $0
        Call un.ServiceState
        ${If} $0 <> 0
        ${AndIf} $0 <> 1
            SetErrorLevel 2
            Abort "The service holdfast does not stop. Stop it in services.msc and run this again; nothing was removed."
        ${EndIf}
    ${EndIf}
    ClearErrors
    Delete "$INSTDIR\holdfast.exe"
    ${If} ${Errors}
        SetErrorLevel 2
        Abort "$INSTDIR\holdfast.exe cannot be removed: is it running? End it and run this again."
    ${EndIf}
    ReadRegDWORD $3 HKLM "Software\holdfast" "InPath"
    ${If} $3 = 1
        StrCpy $Folder "$INSTDIR"
        Call un.RemoveFromPath
    ${EndIf}
    ; Only what the installer put there; the folder goes if nothing else is in it.
    Delete "$INSTDIR\*.txt"
    RMDir /r "$INSTDIR\licences"
    RMDir /r "$INSTDIR\tunnels"
    Delete "$INSTDIR\uninstall.exe"
    RMDir "$INSTDIR"
    DeleteRegKey HKLM "${UNINSTALL_KEY}"
    DeleteRegKey HKLM "Software\holdfast"
    ${un.GetParameters} $R0
    ClearErrors
    ${un.GetOptions} $R0 "/PURGE" $R1
    ${IfNot} ${Errors}
        RMDir /r "$DataDir"
    ${EndIf}
SectionEnd
